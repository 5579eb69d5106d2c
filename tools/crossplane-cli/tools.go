//go:build tools

// Package tools keeps the programs of this group required by go.mod: the Crossplane command line
// and crane, which is the loopback registry of the end-to-end tests.
package tools

import (
	_ "github.com/crossplane/cli/v2/cmd/crossplane"
	_ "github.com/google/go-containerregistry/cmd/crane"
)
