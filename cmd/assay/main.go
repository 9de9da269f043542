// Command assay carries a model through its whole life and proves each step.
package main

import (
	"os"

	"github.com/assay-ml/assay/internal/cli"
)

func main() { cli.Process(os.Args[1:], os.Exit) }
