// Package manifest bounds the YAML files that people write, before anything is made of them. The YAML parser takes time and memory that
// grow with the square of the number of keys and of the depth, and an alias that names a value with aliases multiplies: within these
// bounds every file is read in well under a second. What the keys mean, and which there may be, is the business of whoever decodes the file.
package manifest

import (
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/assay-ml/assay"
)

// The bounds of a file.
const (
	MaxBytes   = 256 << 10
	MaxDepth   = 40     // lists and maps within each other
	MaxKeys    = 2_500  // of one map
	MaxTokens  = 60_000 // names, values and marks
	MaxAliases = 50
)

// Parse reads src, a file that errors call name, within the bounds. Errors are Invalid, and name the line where there is one; say makes the
// parser's own errors readable.
func Parse(name string, src []byte, say func(error) string) (*ast.File, error) {
	if len(src) > MaxBytes {
		return nil, assay.Errorf(assay.Invalid, "%s has %s bytes; the limit is %s", name, assay.FormatCount(int64(len(src))), assay.FormatCount(MaxBytes))
	}
	if err := bound(name, string(src)); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "%s is not valid YAML: %s", name, say(err))
	}
	for _, doc := range file.Docs {
		w := &aliases{}
		ast.Walk(w, doc)
		if w.within != nil {
			return nil, assay.Errorf(assay.Invalid, "%s: line %d: an alias within a value that has an anchor of its own; write the value out", name, w.within.Position.Line)
		}
	}
	return file, nil
}

// Decode reads src into v within the bounds, strictly: an unknown key is an error.
func Decode(name string, src []byte, v any) error {
	if _, err := Parse(name, src, Plain); err != nil {
		return err
	}
	if err := yaml.UnmarshalWithOptions(src, v, yaml.Strict()); err != nil {
		return assay.Errorf(assay.Invalid, "%s cannot be read: %s", name, Plain(err))
	}
	return nil
}

// Plain is an error of the YAML library on one line.
func Plain(err error) string {
	text := strings.TrimSpace(yaml.FormatError(err, false, false))
	if line, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(line, "[") {
		line, _, _ = strings.Cut(line[1:], ":")
		text = "line " + line + ": " + rest
	}
	return strings.Join(strings.Fields(text), " ")
}

// bound counts what the parser would take long for. The lexer's time is linear.
func bound(name, src string) error {
	type level struct{ column, keys int } // an open list or map: where it began, in block form, and how many keys it has
	var block, flow []level
	refs := 0
	deeper := func(column int) *level {
		for len(block) > 0 && block[len(block)-1].column > column {
			block = block[:len(block)-1]
		}
		if len(block) == 0 || block[len(block)-1].column < column {
			block = append(block, level{column: column})
		}
		return &block[len(block)-1]
	}
	tokens := lexer.Tokenize(src)
	if len(tokens) > MaxTokens {
		return assay.Errorf(assay.Invalid, "%s has %s names, values and marks; the limit is %s", name, assay.FormatCount(int64(len(tokens))), assay.FormatCount(MaxTokens))
	}
	for i, t := range tokens {
		var in *level
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow = append(flow, level{})
		case token.SequenceEndType, token.MappingEndType:
			flow = flow[:max(0, len(flow)-1)]
		case token.SequenceEntryType:
			if len(flow) == 0 {
				deeper(t.Position.Column).keys = 0
			}
		case token.MappingValueType, token.MappingKeyType:
			switch {
			case len(flow) > 0:
				in = &flow[len(flow)-1]
			case t.Type == token.MappingValueType && i > 0:
				in = deeper(tokens[i-1].Position.Column)
			default:
				in = deeper(t.Position.Column)
			}
			in.keys++
		case token.AnchorType, token.AliasType:
			refs++
		}
		switch line := t.Position.Line; {
		case len(flow)+len(block) > MaxDepth:
			return assay.Errorf(assay.Invalid, "%s: line %d: more than %d lists and maps within each other", name, line, MaxDepth)
		case in != nil && in.keys > MaxKeys:
			return assay.Errorf(assay.Invalid, "%s: line %d: more than %s keys in one map", name, line, assay.FormatCount(MaxKeys))
		case refs > MaxAliases:
			return assay.Errorf(assay.Invalid, "%s: line %d: more than %d anchors and aliases", name, line, MaxAliases)
		}
	}
	return nil
}

// aliases looks for an alias below an anchor.
type aliases struct {
	anchored bool
	within   *token.Token
	up       *aliases
}

// Visit implements ast.Visitor.
func (w *aliases) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AnchorNode:
		return &aliases{anchored: true, up: w}
	case *ast.AliasNode:
		for u := w; w.anchored && u != nil; u = u.up {
			u.within = n.GetToken()
		}
	}
	return w
}
