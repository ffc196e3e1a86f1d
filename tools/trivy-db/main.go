// Trivy-db writes a vulnerability database in Trivy's own format (schema 2) from a readable file of
// advisories. It stands in for the published database where no registry can be reached.
//
// usage: trivy-db ADVISORIES.yaml DIRECTORY
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"gopkg.in/yaml.v3"
)

type file struct {
	Sources         map[string]source        `yaml:"sources"`
	Vulnerabilities map[string]vulnerability `yaml:"vulnerabilities"`
}

type source struct {
	ID   string `yaml:"id" json:"ID"`
	Name string `yaml:"name" json:"Name"`
	URL  string `yaml:"url"`
}

type vulnerability struct {
	Title    string   `yaml:"title"`
	Severity string   `yaml:"severity"`
	CWE      []string `yaml:"cwe"`
	URL      string   `yaml:"url"`
	Affects  []affect `yaml:"affects"`
}

type affect struct {
	Source  string `yaml:"source"`  // a key of sources, which is a bucket: "debian 13"
	Package string `yaml:"package"` // Debian: the source package
	Fixed   string `yaml:"fixed"`   // empty: no fix yet
	Range   string `yaml:"range"`   // languages: the vulnerable versions, "<3.1.6"
}

var severities = map[string]int{"UNKNOWN": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: trivy-db ADVISORIES.yaml DIRECTORY"))
	}
	text, err := os.ReadFile(os.Args[1])
	fail(err)
	var advisories file
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	fail(decoder.Decode(&advisories))
	fail(os.MkdirAll(os.Args[2], 0o755))
	fail(write(filepath.Join(os.Args[2], "trivy.db"), advisories))
	// Its date is the time of the build: the advisories are in the readable file next to it.
	now := time.Now().UTC()
	metadata, err := json.Marshal(map[string]any{
		"Version":      2,
		"UpdatedAt":    now,
		"NextUpdate":   now.Add(24 * time.Hour),
		"DownloadedAt": now,
	})
	fail(err)
	fail(os.WriteFile(filepath.Join(os.Args[2], "metadata.json"), metadata, 0o644))
}

func write(path string, advisories file) error {
	_ = os.Remove(path)
	db, err := bolt.Open(path, 0o644, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bolt.Tx) error {
		for bucket, source := range advisories.Sources {
			if err := put(tx, source, "data-source", bucket); err != nil {
				return err
			}
		}
		for id, v := range advisories.Vulnerabilities {
			severity, known := severities[v.Severity]
			if !known {
				return fmt.Errorf("%s: severity %q", id, v.Severity)
			}
			detail := map[string]any{
				"Title": v.Title, "Description": v.Title, "Severity": v.Severity,
				"CweIDs": v.CWE, "References": []string{v.URL},
			}
			vendor := map[string]int{}
			for _, a := range v.Affects {
				source, known := advisories.Sources[a.Source]
				if !known {
					return fmt.Errorf("%s: source %q", id, a.Source)
				}
				vendor[source.ID] = severity
				advisory := map[string]any{"FixedVersion": a.Fixed}
				switch {
				case a.Range != "":
					advisory = map[string]any{"PatchedVersions": []string{a.Fixed}, "VulnerableVersions": []string{a.Range}}
				case a.Fixed == "":
					advisory = map[string]any{"Status": 2} // affected
				}
				if err := put(tx, advisory, a.Source, a.Package, id); err != nil {
					return err
				}
			}
			detail["VendorSeverity"] = vendor
			if err := put(tx, detail, "vulnerability", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// put stores value as JSON under the last of keys; the ones before it are nested buckets.
func put(tx *bolt.Tx, value any, keys ...string) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(keys[0]))
	for _, key := range keys[1 : len(keys)-1] {
		if err != nil {
			return err
		}
		bucket, err = bucket.CreateBucketIfNotExists([]byte(key))
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return bucket.Put([]byte(keys[len(keys)-1]), text)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "trivy-db:", err)
		os.Exit(1)
	}
}
