package main

import (
	"encoding/json"
	"fmt"

	"github.com/cilium/cilium/pkg/k8s"
	cilium "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	networking "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/policy/utils"
)

// rules is what the agent makes of one object.
type rules struct {
	entries types.PolicyEntries
	names   []api.FQDNSelector
}

// read decodes and checks an object as the agent does; the error is why the agent rejects it.
func read(raw json.RawMessage) (*rules, error) {
	var typed struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &typed); err != nil {
		return nil, err
	}
	switch typed.Kind {
	case "NetworkPolicy":
		var object networking.NetworkPolicy
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, err
		}
		entries, err := k8s.ParseNetworkPolicy(logger, cluster, &object)
		return &rules{entries: entries}, err
	case "CiliumNetworkPolicy":
		var object cilium.CiliumNetworkPolicy
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, err
		}
		parsed, err := object.Parse(logger, cluster)
		if err != nil {
			return nil, err
		}
		read := &rules{entries: utils.RulesToPolicyEntries(parsed)}
		for _, rule := range parsed {
			for _, egress := range rule.Egress {
				read.names = append(read.names, egress.ToFQDNs...)
			}
		}
		return read, nil
	}
	return nil, fmt.Errorf("there is no policy of kind %q", typed.Kind)
}
