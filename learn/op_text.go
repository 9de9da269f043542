package learn

import (
	"fmt"
	"math"
	"strings"
)

func textOperators() []operator {
	return []operator{
		{name: "StringNormalizer", least: 1, most: 1, compile: compileStringNormalizer},
		{name: "StringConcat", least: 2, most: 2, compile: compileStringConcat},
		{name: "StringSplit", least: 1, most: 1, compile: compileStringSplit},
		{name: "TfIdfVectorizer", least: 1, most: 1, compile: compileTfIdf},
		{domain: domainML, name: "CategoryMapper", least: 1, most: 1, compile: compileCategoryMapper},
		{domain: domainML, name: "DictVectorizer", least: 1, most: 1, compile: compileDictVectorizer},
		{domain: domainML, name: "FeatureVectorizer", least: 1, most: anyNumber, compile: compileFeatureVectorizer},
	}
}

// compileStringNormalizer drops stop words and changes case. Case follows Unicode, as the locale en_US does.
func compileStringNormalizer(c *nodeContext) (kernel, error) {
	action, sensitive := c.string("case_change_action", "NONE"), c.int("is_case_sensitive", 0) != 0
	c.string("locale", "")
	change := map[string]func(string) string{"NONE": func(s string) string { return s }, "LOWER": strings.ToLower, "UPPER": strings.ToUpper}[action]
	if change == nil {
		return nil, fmt.Errorf("case_change_action %q is not known", action)
	}
	stop := map[string]bool{}
	for _, w := range c.strings("stopwords") {
		if !sensitive {
			w = strings.ToLower(w)
		}
		stop[w] = true
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		rows := len(t.Shape)
		if t.Type != String || rows != 1 && (rows != 2 || t.Shape[0] != 1) {
			return nil, fmt.Errorf("%s tensor of shape %s is not one list of strings", t.Type, shapeString(t.Shape))
		}
		var kept []string
		for _, s := range t.Strings {
			key := s
			if !sensitive {
				key = strings.ToLower(s)
			}
			if len(stop) == 0 || !stop[key] {
				if err := m.spend(2*int64(len(s)) + 16); err != nil {
					return nil, err
				}
				kept = append(kept, change(s))
			}
		}
		if len(kept) == 0 {
			kept = []string{""}
		}
		shape := m.shape(t.Shape...)
		shape[len(shape)-1] = len(kept)
		return stringTensor(shape, kept), nil
	}), nil
}

func compileStringConcat(*nodeContext) (kernel, error) {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		a, b := in[0], in[1]
		if a.Type != String || b.Type != String {
			return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
		}
		shape, err := broadcastShape(m, a.Shape, b.Shape)
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(String, shape...)
		if err != nil {
			return nil, err
		}
		as, bs := broadcastStrides(m, a.Shape, shape), broadcastStrides(m, b.Shape, shape)
		for i := range out.Strings {
			x, y := a.Strings[dot(shape, as, i)], b.Strings[dot(shape, bs, i)]
			if err := m.spend(int64(len(x) + len(y))); err != nil {
				return nil, err
			}
			out.Strings[i] = x + y
		}
		return m.list(out), nil
	}, nil
}

// compileStringSplit cuts texts at a delimiter, or at spaces where there is none, into as many columns as the longest has parts; the second
// output is how many each has. As with ONNX Runtime, a space is U+0020 alone, and an empty text has no part.
func compileStringSplit(c *nodeContext) (kernel, error) {
	delimiter, most := c.string("delimiter", ""), c.int("maxsplit", -1)
	if most < 0 || most > math.MaxInt32 {
		most = math.MaxInt32
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t := in[0]
		if t.Type != String {
			return nil, fmt.Errorf("%s tensor where strings are needed", t.Type)
		}
		counts, err := m.tensor(Int64, t.Shape...)
		if err != nil {
			return nil, err
		}
		width := int64(0)
		for i, s := range t.Strings {
			splitText(s, delimiter, most, func(string) { counts.Ints[i]++ })
			width = max(width, counts.Ints[i])
		}
		out, err := m.tensor(String, append(m.shape(t.Shape...), int(width))...)
		if err != nil {
			return nil, err
		}
		for i, s := range t.Strings {
			to := out.Strings[i*int(width):]
			splitText(s, delimiter, most, func(part string) { to[0], to = part, to[1:] })
		}
		return m.list(out, counts), nil
	}, nil
}

// splitText calls part with each part of a text that is cut at most so often.
func splitText(s, delimiter string, most int64, part func(string)) {
	spaces := delimiter == ""
	if spaces {
		s, delimiter = strings.Trim(s, " "), " "
	}
	if s == "" {
		return
	}
	for ; most > 0; most-- {
		before, after, found := strings.Cut(s, delimiter)
		if !found {
			break
		}
		if s = after; spaces {
			s = strings.TrimLeft(s, " ")
		}
		part(before)
	}
	part(s)
}

// compileTfIdf counts n-grams of a pool in each row, and weighs them.
func compileTfIdf(c *nodeContext) (kernel, error) {
	counts, columns, weights := c.ints("ngram_counts"), c.ints("ngram_indexes"), c.floats("weights")
	shortest, longest, skips, mode := c.int("min_gram_length", 1), c.int("max_gram_length", 1), c.int("max_skip_count", 0), c.string("mode", "TF")
	pool := c.strings("pool_strings")
	for _, v := range c.ints("pool_int64s") {
		pool = append(pool, fmt.Sprint(v))
	}
	whole := len(c.ints("pool_int64s")) > 0
	if skips != 0 || mode != "TF" && mode != "IDF" && mode != "TFIDF" || shortest < 1 || longest < shortest || longest > 64 {
		return nil, fmt.Errorf("max_skip_count %d, mode %q, lengths %d to %d", skips, mode, shortest, longest)
	}
	width := int64(0)
	for _, v := range columns {
		if v < 0 || v >= 1<<24 {
			return nil, fmt.Errorf("column %d", v)
		}
		width = max(width, v+1)
	}
	index := map[string]int{} // of an n-gram in the pool
	gram := 0
	for i, start := range counts {
		n, end := i+1, int64(len(pool))
		if i+1 < len(counts) {
			end = counts[i+1]
		}
		if start < 0 || end < start || end > int64(len(pool)) || (end-start)%int64(n) != 0 {
			return nil, fmt.Errorf("n-grams of length %d from %d to %d of a pool of %d", n, start, end, len(pool))
		}
		for at := start; at < end; at += int64(n) {
			index[gramKey(pool[at:at+int64(n)])] = gram
			gram++
		}
	}
	if gram != len(columns) || len(weights) != 0 && len(weights) != gram {
		return nil, fmt.Errorf("%d n-grams with %d columns and %d weights", gram, len(columns), len(weights))
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		rows, length := 1, t.Len()
		shape := m.shape()
		if len(t.Shape) == 2 {
			rows, length = t.Shape[0], t.Shape[1]
			shape = append(shape, rows)
		}
		if len(t.Shape) > 2 || whole != t.Type.integral() || !whole && t.Type != String {
			return nil, fmt.Errorf("%s tensor of shape %s does not fit the pool", t.Type, shapeString(t.Shape))
		}
		out, err := m.tensor(Float32, append(shape, int(width))...)
		if err != nil {
			return nil, err
		}
		words := make([]string, length)
		for r := range rows {
			for i := range words {
				if whole {
					words[i] = fmt.Sprint(t.Ints[r*length+i])
				} else {
					words[i] = t.Strings[r*length+i]
				}
			}
			to := out.Floats[r*int(width):][:width]
			for n := int(shortest); n <= int(longest); n++ {
				for at := 0; at+n <= length; at++ {
					if g, ok := index[gramKey(words[at:at+n])]; ok {
						w := float32(1)
						if len(weights) > 0 && mode != "TF" {
							w = weights[g]
						}
						if mode == "IDF" {
							to[columns[g]] = w
						} else {
							to[columns[g]] += w
						}
					}
				}
			}
		}
		return out, nil
	}), nil
}

// gramKey makes one string of several such that different lists give different strings.
func gramKey(words []string) string {
	if len(words) == 1 {
		return "1:" + words[0]
	}
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, "%d:%s", len(w), w)
	}
	return b.String()
}

func compileCategoryMapper(c *nodeContext) (kernel, error) {
	text, whole := c.strings("cats_strings"), c.ints("cats_int64s")
	noText, noInt := c.string("default_string", "_Unused"), c.int("default_int64", -1)
	if len(text) != len(whole) {
		return nil, fmt.Errorf("%d strings for %d integers", len(text), len(whole))
	}
	byText, byInt := indexOf(text), indexOf(whole)
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type == String {
			out, err := m.tensor(Int64, t.Shape...)
			if err != nil {
				return nil, err
			}
			for i, s := range t.Strings {
				if out.Ints[i] = noInt; len(byText) > 0 {
					if at, ok := byText[s]; ok {
						out.Ints[i] = whole[at]
					}
				}
			}
			return out, nil
		}
		if t.Type != Int64 {
			return nil, fmt.Errorf("%s tensor where strings or int64 are needed", t.Type)
		}
		out, err := m.tensor(String, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i, v := range t.Ints {
			out.Strings[i] = noText
			if at, ok := byInt[v]; ok {
				out.Strings[i] = text[at]
			}
		}
		return out, nil
	}), nil
}

// compileDictVectorizer puts the values of a sequence of maps into the columns of a vocabulary.
func compileDictVectorizer(c *nodeContext) (kernel, error) {
	vocabulary := c.strings("string_vocabulary")
	for _, v := range c.ints("int64_vocabulary") {
		vocabulary = append(vocabulary, fmt.Sprint(v))
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Keys == nil || len(t.Shape) != 2 {
			return nil, fmt.Errorf("input is not a sequence of maps")
		}
		out, err := m.tensor(t.Type, t.Shape[0], len(vocabulary))
		if err != nil {
			return nil, err
		}
		index := indexOf(keyStrings(t.Keys))
		for j, word := range vocabulary {
			if at, ok := index[word]; ok {
				for i := range t.Shape[0] {
					out.copyElement(i*len(vocabulary)+j, t, i*t.Shape[1]+at)
				}
			}
		}
		return out, nil
	}), nil
}

// compileFeatureVectorizer puts matrices side by side as floats, each padded or cut to its declared width.
func compileFeatureVectorizer(c *nodeContext) (kernel, error) {
	widths := c.ints("inputdimensions")
	total := 0
	for _, w := range widths {
		if w < 0 || w > math.MaxInt32 {
			return nil, fmt.Errorf("inputdimensions has %d", w)
		}
		total += int(w)
	}
	if len(widths) != len(c.node.inputs) {
		return nil, fmt.Errorf("%d widths for %d inputs", len(widths), len(c.node.inputs))
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		rows, _, err := in[0].matrix()
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(Float32, rows, total)
		if err != nil {
			return nil, err
		}
		at := 0
		for k, t := range in {
			x, err := t.float32s(m)
			if err != nil {
				return nil, err
			}
			n, cols, err := t.matrix()
			if err != nil || n != rows {
				return nil, fmt.Errorf("inputs have %d and %d rows", rows, n)
			}
			for i := range rows {
				copy(out.Floats[i*total+at:][:min(int(widths[k]), cols)], x[i*cols:])
			}
			at += int(widths[k])
		}
		return m.list(out), nil
	}, nil
}
