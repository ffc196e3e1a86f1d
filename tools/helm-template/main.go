// Command helm-template renders a chart as `helm template` does, with Helm's own packages. What it needs is in one file,
// so that no value is in its arguments; it runs no program but itself, and connects to nothing: what a template looks up in the
// cluster is in the file, or in the response as missing.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"text/template"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v4/pkg/chart/common"
	values "helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"helm.sh/helm/v4/pkg/strvals"
)

// Bytes that the process that renders may use, many times what a large chart needs: a template can allocate forever.
const memory = 1 << 30

// In the environment of that process.
const limited = "HELM_TEMPLATE_LIMITED"

// The end of the names of templates that are for people, and are not objects.
const notes = "NOTES.txt"

type request struct {
	// The directory or the archive.
	Chart string `json:"chart"`
	// Without one, the name of the chart.
	Release     string   `json:"release"`
	Namespace   string   `json:"namespace"`
	Upgrade     bool     `json:"upgrade"`
	KubeVersion string   `json:"kubeVersion"`
	APIVersions []string `json:"apiVersions"`
	// The files of values, the last one wins.
	Values []file `json:"values"`
	// As `--set` has them; they win over the files.
	Set     []string `json:"set"`
	Lookups []lookup `json:"lookups"`
}

type file struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

type lookup struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Namespace  string         `json:"namespace"`
	Name       string         `json:"name"`
	Object     map[string]any `json:"object,omitempty"`
}

type hook struct {
	file
	Events []string `json:"events"`
	Weight int      `json:"weight"`
}

type response struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Release   string `json:"release"`
	Templates []file `json:"templates"`
	Hooks     []hook `json:"hooks"`
	CRDs      []file `json:"crds"`
	// What templates look up and the request does not have.
	Missing []lookup `json:"missing"`
	// The templates whose result differs each time.
	Random []string `json:"random"`
}

func main() {
	// Helm writes debugging and warnings that are not about this chart's result.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("helm-template", version())
		return
	}
	if os.Getenv(limited) == "" {
		os.Exit(runLimited())
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// Run the program once more, and let Go's runtime end it when it needs too much memory. The runtime then writes the
// stacks of all goroutines, which say nothing about the chart.
func runLimited() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	program, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	limit := syscall.Rlimit{Cur: memory, Max: memory}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fail(err)
	}
	var problems bytes.Buffer
	command := exec.Command(program, os.Args[1:]...)
	command.Env = append(os.Environ(), limited+"=1")
	command.Stdout, command.Stderr = os.Stdout, &problems
	if err = command.Run(); isOutOfMemory(problems.String()) {
		return fail(errors.New("it needs more than 1 GiB of memory; a template may never end"))
	}
	os.Stderr.Write(problems.Bytes())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// Whether the runtime has ended a program with such an error (runtime/malloc.go, mem_linux.go). What a chart prints has no
// such line: its errors start with `Error:`.
func isOutOfMemory(problems string) bool {
	for line := range strings.Lines(problems) {
		if message, ok := strings.CutPrefix(line, "fatal error: "); ok {
			return strings.Contains(message, "out of memory") || strings.Contains(message, "cannot allocate memory")
		}
	}
	return false
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "helm.sh/helm/v4" {
			return module.Version
		}
	}
	return ""
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: helm-template REQUEST")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var request request
	if err := json.Unmarshal(text, &request); err != nil {
		return err
	}
	response, err := request.render()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(response)
}

func (r *request) render() (*response, error) {
	first, missing, err := r.files()
	if err != nil {
		return nil, err
	}
	// Loaded again: rendering changes the values of a chart.
	second, _, err := r.files()
	if err != nil {
		return nil, err
	}
	ch := first.chart
	out := &response{Name: ch.Name(), Version: ch.Metadata.Version, Release: r.Release, Missing: missing}
	for name, text := range first.texts {
		if strings.HasSuffix(name, notes) {
			delete(first.texts, name)
		} else if second.texts[name] != text {
			out.Random = append(out.Random, name)
		}
	}
	slices.Sort(out.Random)
	hooks, manifests, err := releaseutil.SortManifests(first.texts, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	for _, crd := range ch.CRDObjects() {
		out.CRDs = append(out.CRDs, file{crd.Filename, string(crd.File.Data)})
	}
	for _, manifest := range manifests {
		out.Templates = append(out.Templates, file{manifest.Name, manifest.Content})
	}
	for _, h := range hooks {
		events := make([]string, len(h.Events))
		for i, event := range h.Events {
			events[i] = event.String()
		}
		out.Hooks = append(out.Hooks, hook{file{h.Path, h.Manifest}, events, h.Weight})
	}
	return out, nil
}

type rendered struct {
	chart *chart.Chart
	texts map[string]string
}

func (r *request) files() (*rendered, []lookup, error) {
	ch, err := loader.Load(r.Chart)
	if err != nil {
		return nil, nil, err
	}
	if err := ch.Validate(); err != nil {
		return nil, nil, err
	}
	if r.Release == "" {
		r.Release = ch.Name()
	}
	if err := chartutil.ValidateReleaseName(r.Release); err != nil {
		return nil, nil, fmt.Errorf("the release name %q is invalid: %w", r.Release, err)
	}
	if ch.Metadata.Type == "library" {
		return nil, nil, errors.New("it is a library chart, which has no objects of its own")
	}
	if err := checkDependencies(ch); err != nil {
		return nil, nil, err
	}
	merged, err := r.merged()
	if err != nil {
		return nil, nil, err
	}
	kube, err := common.ParseKubeVersion(r.KubeVersion)
	if err != nil {
		return nil, nil, err
	}
	if constraint := ch.Metadata.KubeVersion; constraint != "" && !chartutil.IsCompatibleRange(constraint, kube.String()) {
		return nil, nil, fmt.Errorf("it requires Kubernetes %s, and the cluster has %s", constraint, kube.Version)
	}
	if err := chartutil.ProcessDependencies(ch, merged); err != nil {
		return nil, nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	caps.KubeVersion = *kube
	caps.APIVersions = r.APIVersions
	options := common.ReleaseOptions{
		Name: r.Release, Namespace: r.Namespace, Revision: 1, IsInstall: !r.Upgrade, IsUpgrade: r.Upgrade,
	}
	top, err := values.ToRenderValuesWithSchemaValidation(ch, merged, options, caps, true)
	if err != nil {
		return nil, nil, err
	}
	own, err := top.Table("Values")
	if err != nil {
		return nil, nil, err
	}
	if err := validate(ch, own); err != nil {
		return nil, nil, err
	}
	var missing []lookup
	e := engine.Engine{CustomTemplateFuncs: template.FuncMap{
		"lookup": func(apiVersion, kind, namespace, name string) (map[string]any, error) {
			key := lookup{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}
			same := func(l lookup) bool {
				return l.APIVersion == apiVersion && l.Kind == kind && l.Namespace == namespace && l.Name == name
			}
			if at := slices.IndexFunc(r.Lookups, same); at >= 0 {
				if object := r.Lookups[at].Object; object != nil {
					return maps.Clone(object), nil
				}
			} else if !slices.ContainsFunc(missing, same) {
				missing = append(missing, key)
			}
			return map[string]any{}, nil
		},
	}}
	texts, err := e.Render(ch, top)
	// What is looked up may be why a template failed.
	if err != nil && len(missing) == 0 {
		return nil, nil, err
	}
	return &rendered{ch, texts}, missing, nil
}

func (r *request) merged() (map[string]any, error) {
	merged := map[string]any{}
	for _, f := range r.Values {
		more, err := loader.LoadValues(strings.NewReader(f.Text))
		if err != nil {
			return nil, fmt.Errorf("failed to parse %s: %w", f.Path, err)
		}
		merged = loader.MergeMaps(merged, more)
	}
	for _, set := range r.Set {
		if err := strvals.ParseInto(set, merged); err != nil {
			// The message has no value, which may be a secret; the line would have it.
			name, _, _ := strings.Cut(set, "=")
			return nil, fmt.Errorf("failed to parse the value of %s: %w", name, err)
		}
	}
	return merged, nil
}

// What Chart.yaml lists has to be in charts/: it is not downloaded.
func checkDependencies(ch *chart.Chart) error {
	var missing []string
	for _, dependency := range ch.Metadata.Dependencies {
		has := func(d *chart.Chart) bool { return d.Name() == dependency.Name }
		if !slices.ContainsFunc(ch.Dependencies(), has) {
			missing = append(missing, dependency.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("its dependencies are not in charts/: %s; run `helm dependency build` in an earlier step, or commit them", strings.Join(missing, ", "))
	}
	return nil
}

// As Helm does, but nothing is fetched for a schema.
func validate(ch *chart.Chart, own map[string]any) error {
	if ch.Schema != nil {
		if err := validateOne(ch.Schema, own); err != nil {
			return fmt.Errorf("the values do not match the schema of the chart %s: %w", ch.Name(), err)
		}
	}
	for _, sub := range ch.Dependencies() {
		if own, ok := own[sub.Name()].(map[string]any); ok {
			if err := validate(sub, own); err != nil {
				return err
			}
		}
	}
	return nil
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s, which is not fetched", url)
}

func validateOne(text []byte, own map[string]any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the schema is invalid: %v", r)
		}
	}()
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	const url = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(url, schema); err != nil {
		return err
	}
	validator, err := compiler.Compile(url)
	if err != nil {
		return err
	}
	return oneLine(validator.Validate(own))
}

// `/replicas: got string, want integer` of a message that has a line for each.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimSpace(line), "- ")
	}
	return errors.New(strings.Join(lines[min(1, len(lines)-1):], "; "))
}
