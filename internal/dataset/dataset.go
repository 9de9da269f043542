// Package dataset knows data sets: their versions (snapshots), their documentation (datasheets), what they look like (profiles) and
// how they are divided (splits with a sealed test part, and the leakage checks that go with them).
//
// It reads tables and returns payloads; the caller writes them as evidence. It does not train, score or judge, and it keeps no state
// of its own.
package dataset
