package ort

import (
	"bytes"
	"encoding/binary"
)

// The messages of an ONNX file, written by hand: what a test needs and no more.

func message(num int, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	out := binary.AppendUvarint(nil, uint64(num<<3|2))
	return append(binary.AppendUvarint(out, uint64(len(body))), body...)
}

func varint(num int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(num<<3)), v)
}

func name(num int, s string) []byte { return message(num, []byte(s)) }

// node is an operator of ai.onnx with one output.
func node(op, out string, in ...string) []byte {
	var b []byte
	for _, x := range in {
		b = append(b, name(1, x)...)
	}
	return message(1, b, name(2, out), name(4, op))
}

// matrix declares the input (11) or output (12) of a graph as floats of shape [1, width].
func matrix(num int, x string, width int) []byte {
	dim := func(v int) []byte { return message(1, varint(1, uint64(v))) }
	return message(num, name(1, x), message(2, message(1, varint(1, 1), message(2, dim(1), dim(width)))))
}

// zeros is a constant vector of n floats (type 1) or integers (type 7).
func zeros(x string, n, typ, width int) []byte {
	return message(5, varint(1, uint64(n)), varint(2, uint64(typ)), name(8, x), message(9, make([]byte, n*width)))
}

// onnxFile is a model of a graph of the given parts.
func onnxFile(graph ...[]byte) []byte {
	return bytes.Join([][]byte{varint(1, 8), message(7, append(graph, name(2, "g"))...), message(8, name(1, ""), varint(2, 17))}, nil)
}
