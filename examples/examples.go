// Package examples holds the data sets and projects that Assay brings along, for the demo and for the tests.
package examples

import "embed"

// Employment is the folder of the MA employment example: data, datasheet and assay.yaml.
//
//go:embed employment/README.md employment/*.parquet employment/*.onnx employment/assay.yaml
var Employment embed.FS
