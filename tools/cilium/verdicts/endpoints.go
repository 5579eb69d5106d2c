package main

import (
	"fmt"
	"net/netip"

	"github.com/cilium/cilium/pkg/fqdn/dns"
	"github.com/cilium/cilium/pkg/identity"
	constants "github.com/cilium/cilium/pkg/k8s/apis/cilium.io"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
)

// firstPod is above the numbers that Cilium reserves.
const firstPod = 1000

type endpoint struct {
	Kind            string            `json:"kind"`
	Namespace       string            `json:"namespace"`
	Labels          map[string]string `json:"labels"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Address         string            `json:"address"`
	Hosts           []string          `json:"hosts"`
	Ports           map[string]uint16 `json:"ports"`
}

// identity is what the agent knows an endpoint by. Names of an outside address are those that the
// agent saw answered: it has a label for each selector that matches one.
func (e endpoint) identity(number int, names []api.FQDNSelector) (*identity.Identity, error) {
	switch e.Kind {
	case "pod":
		return identity.NewIdentity(identity.NumericIdentity(firstPod+number), e.pod()), nil
	case "node":
		return identity.LookupReservedIdentity(identity.ReservedIdentityHost), nil
	case "other-node":
		return identity.LookupReservedIdentity(identity.ReservedIdentityRemoteNode), nil
	case "outside", "api-server":
		outside, err := e.outside(names)
		return identity.NewIdentity(identity.IdentityScopeLocal+identity.NumericIdentity(number+1), outside), err
	}
	return nil, fmt.Errorf("there is no endpoint of kind %q", e.Kind)
}

func (e endpoint) pod() labels.Labels {
	made := labels.Labels{}
	add := func(key, value string) {
		made[key] = labels.NewLabel(key, value, labels.LabelSourceK8s)
	}
	for key, value := range e.Labels {
		add(key, value)
	}
	for key, value := range e.NamespaceLabels {
		add(policy.JoinPath(constants.PodNamespaceMetaLabels, key), value)
	}
	add(constants.PodNamespaceLabel, e.Namespace)
	add(constants.PolicyLabelCluster, cluster)
	return made
}

func (e endpoint) outside(names []api.FQDNSelector) (labels.Labels, error) {
	address, err := netip.ParseAddr(e.Address)
	if err != nil {
		return nil, err
	}
	made := labels.GetCIDRLabels(netip.PrefixFrom(address, address.BitLen()))
	if e.Kind == "api-server" {
		made.MergeLabels(labels.LabelKubeAPIServer)
	}
	for _, selector := range names {
		pattern, err := selector.ToRegex()
		if err != nil {
			return nil, err
		}
		for _, host := range e.Hosts {
			if pattern.MatchString(dns.FQDN(host)) {
				label := selector.IdentityLabel()
				made[label.Key] = label
			}
		}
	}
	return made, nil
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) AddRule(types.PolicyEntry) {}
func (noMetrics) DelRule(types.PolicyEntry) {}

// noNames learns nothing: the request says what was learnt.
type noNames struct{}

func (noNames) RegisterFQDNSelector(api.FQDNSelector) uint64   { return 0 }
func (noNames) UnregisterFQDNSelector(api.FQDNSelector) uint64 { return 0 }
