//go:build tools

// Package tools keeps the programs of this group required by go.mod.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
