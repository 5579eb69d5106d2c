//go:build tools

// Package tools keeps vmalert-tool (unit tests of rules) and victoria-metrics required by go.mod.
package tools

import (
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert-tool"
)
