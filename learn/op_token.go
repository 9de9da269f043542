package learn

import (
	"fmt"
	"regexp"
	"unicode/utf8"
)

// domainMicrosoft has the operators that ONNX Runtime adds to those of ONNX.
const domainMicrosoft = "com.microsoft"

func tokenOperators() []operator {
	return []operator{{domain: domainMicrosoft, name: "Tokenizer", least: 1, most: 1, compile: compileTokenizer}}
}

// compileTokenizer finds the tokens of each text by an expression, as skl2onnx writes it for the vectorizers of scikit-learn: the leftmost and
// longest that match it, one after the other. Go's expressions are those of RE2, which ONNX Runtime takes. Texts with fewer tokens than the
// one with most are filled up with the padding.
func compileTokenizer(c *nodeContext) (kernel, error) {
	for _, name := range []string{"tokenexp", "mark", "mincharnum", "pad_value"} {
		if !c.given(name) {
			return nil, fmt.Errorf("attribute %q is missing", name)
		}
	}
	text, mark, least, pad := c.string("tokenexp", ""), c.int("mark", 0) != 0, c.int("mincharnum", 1), c.string("pad_value", "")
	if least < 1 {
		return nil, fmt.Errorf("mincharnum is %d", least)
	}
	if text == "." { // to ONNX Runtime every character, the end of a line too
		text = "(?s)."
	}
	expression, err := regexp.Compile(text)
	if err != nil || text == "" {
		return nil, fmt.Errorf("tokenexp %q is no expression: %v", text, err)
	}
	expression.Longest()
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type != String || len(t.Shape) < 1 || len(t.Shape) > 2 {
			return nil, fmt.Errorf("%s tensor of shape %s is not a list or a table of texts", t.Type, shapeString(t.Shape))
		}
		tokens, most := make([][]string, len(t.Strings)), 0
		for i, s := range t.Strings {
			if !utf8.ValidString(s) {
				return nil, fmt.Errorf("a text is not valid UTF-8")
			}
			if err := m.spend(40 * int64(len(s))); err != nil { // what the matches of single letters take
				return nil, err
			}
			for _, at := range expression.FindAllStringIndex(s, -1) {
				if token := s[at[0]:at[1]]; int64(utf8.RuneCountInString(token)) >= least {
					tokens[i] = append(tokens[i], token)
				}
			}
			most = max(most, len(tokens[i]))
		}
		if mark && most > 0 {
			most += 2
		}
		out, err := m.tensor(String, append(m.shape(t.Shape...), most)...)
		if err != nil {
			return nil, err
		}
		for i, found := range tokens {
			row := out.Strings[i*most : (i+1)*most]
			if mark && most > 0 {
				row[0] = "\x02"
				row[1+len(found)] = "\x03"
				copy(row[1:], found)
				found = row[:len(found)+2]
			}
			for j := copy(row, found); j < most; j++ {
				row[j] = pad
			}
		}
		return out, nil
	}), nil
}
