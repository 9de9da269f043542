//go:build !unix

package cli

import "github.com/rogpeppe/go-internal/testscript"

func nobody(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("nobody: not on this system") }

func smallDisk(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("smalldisk: not on this system")
}

func fill(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("fill: not on this system") }
func mayMount() (bool, error)                            { return false, nil }
