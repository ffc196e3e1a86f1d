// Package dns takes the place of the providers by which Traefik gets certificates through DNS: more than a hundred clients of
// DNS hosters, which no test needs, and some of which no module proxy has.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v5/challenge"
)

// NewDNSChallengeProviderByName knows no provider.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("the DNS provider %s is not built in", name)
}
