package learn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// loadLightGBM reads the text of a model of LightGBM (model.txt, version 2 to 4). It gives what Booster.predict gives: LightGBM writes
// the trees up to best_iteration alone.
func loadLightGBM(b []byte, limits Limits) (*Predictor, error) {
	l := &lightgbm{rest: b, limits: limits, scorer: &scorer[float64]{name: string(FormatLightGBM), scale: 1, divide: 1}}
	if err := l.load(); err != nil {
		if assay.CodeOf(err) != assay.Internal {
			return nil, err
		}
		return nil, assay.Errorf(assay.Invalid, "lightgbm model: %w", err)
	}
	p := newPredictor(FormatLightGBM, l.scorer, limits)
	p.rowwise = true
	if p.task = assay.Regression; l.scorer.classes == 2 {
		p.task, p.positive = assay.Binary, "1"
	} else if l.scorer.classes > 2 {
		p.task = assay.Multiclass
	}
	return p, nil
}

// A lightgbm is a model while it is read, line by line.
type lightgbm struct {
	rest    []byte
	line    int
	limits  Limits
	bytes   int64
	scorer  *scorer[float64]
	forest  forest[float64, int64]
	perTurn int          // trees an iteration
	linear  []linearLeaf // of the leaves that have one, by weight
	models  bool         // some leaf is linear
}

// A linearLeaf is the linear model of a leaf; where one of its features is missing the leaf's own value counts.
type linearLeaf struct {
	constant     float64
	features     []int32
	coefficients []float64
}

// next returns the next line without its end, and false at the end.
func (l *lightgbm) next() (string, bool) {
	if len(l.rest) == 0 {
		return "", false
	}
	line, rest, _ := bytes.Cut(l.rest, []byte("\n"))
	l.rest = rest
	l.line++
	return string(bytes.TrimSuffix(line, []byte("\r"))), true
}

// section reads lines of key=value up to an empty line that follows some.
func (l *lightgbm) section(first string) (map[string]string, error) {
	out := map[string]string{}
	for line, ok := first, true; ok; line, ok = l.next() {
		if line == "" {
			if len(out) > 0 {
				break
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		out[key] = value
		if l.bytes += int64(len(line)); len(out) > 256 {
			return nil, fmt.Errorf("line %d: a section has more than 256 lines", l.line)
		}
	}
	return out, nil
}

func (l *lightgbm) load() error {
	if line, _ := l.next(); strings.TrimSpace(line) != "tree" {
		return fmt.Errorf("the first line is not \"tree\"")
	}
	line, _ := l.next()
	head, err := l.section(line)
	if err != nil {
		return err
	}
	if err := l.header(head); err != nil {
		return err
	}
	trees := 0
	for ended := false; !ended; {
		line, ok := l.next()
		switch {
		case !ok:
			return fmt.Errorf("the text ends after %d trees, before \"end of trees\"", trees)
		case line == "":
		case line == "end of trees":
			ended = true
		case strings.HasPrefix(line, "Tree="):
			part, err := l.section(line)
			if err != nil {
				return err
			}
			if err := l.tree(part, int32(trees%l.perTurn)); err != nil {
				return fmt.Errorf("tree %d, before line %d: %w", trees, l.line, err)
			}
			trees++
		default:
			return fmt.Errorf("line %d is neither a tree nor the end of trees", l.line)
		}
	}
	if trees%l.perTurn != 0 {
		return fmt.Errorf("%d trees, %d an iteration", trees, l.perTurn)
	}
	if _, averaged := head["average_output"]; averaged {
		l.scorer.divide = float64(max(trees/l.perTurn, 1))
	}
	if err := l.categories(head); err != nil {
		return err
	}
	l.forest.targets = l.scorer.groups
	if err := prepare64(&l.forest); err != nil {
		return err
	}
	if l.forest.features > l.scorer.features {
		return fmt.Errorf("a tree uses feature %d of %d", l.forest.features-1, l.scorer.features)
	}
	l.scorer.add = l.forest.sum
	if l.models {
		l.scorer.add = l.sumLinear
	}
	return nil
}

func (l *lightgbm) header(head map[string]string) error {
	switch v := head["version"]; v {
	case "v2", "v3", "v4":
	default:
		return refuse("lightgbm model: version %q is not supported", v)
	}
	whole := func(key string) (int, error) {
		v, err := strconv.Atoi(head[key])
		if err != nil || v < 0 || v > l.limits.Fields {
			return 0, fmt.Errorf("%s is not a number from 0 to %d", key, l.limits.Fields)
		}
		return v, nil
	}
	last, err := whole("max_feature_idx")
	if err != nil {
		return err
	}
	classes, err := whole("num_class")
	if err != nil {
		return err
	}
	if l.perTurn, err = whole("num_tree_per_iteration"); err != nil {
		return err
	}
	s := l.scorer
	s.features, s.groups = last+1, l.perTurn
	if l.perTurn < 1 {
		return fmt.Errorf("no tree an iteration")
	}
	s.base = make([]float64, s.groups)
	return l.objective(head["objective"], classes)
}

// objective reads the name of an objective and its parameters, as "binary sigmoid:1". Without one the scores are the answer.
func (l *lightgbm) objective(text string, classes int) error {
	s := l.scorer
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	root := false
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, ":")
		switch name {
		case "sigmoid":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || !(v > 0) || math.IsInf(v, 0) {
				return fmt.Errorf("sigmoid is not a number above 0")
			}
			s.scale = v
		case "sqrt":
			root = true
		}
	}
	switch name := words[0]; name {
	case "binary", "cross_entropy", "xentropy":
		s.link = linkLogistic
		if s.groups != 1 {
			return fmt.Errorf("objective %s with %d outputs", name, s.groups)
		}
		if s.classes = 2; name != "binary" {
			s.classes = 0
		}
	case "multiclass", "multiclassova":
		if s.link = linkSoftmax; name == "multiclassova" {
			s.link = linkEachClass
		}
		if classes != s.groups || classes < 2 {
			return fmt.Errorf("objective %s with %d classes and %d outputs", name, classes, s.groups)
		}
		s.classes = classes
	case "poisson", "gamma", "tweedie":
		s.link = linkExp
	case "cross_entropy_lambda", "xentlambda":
		s.link = linkLog1pExp
	case "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom":
		if root {
			s.link = linkSquare
		}
	default:
		return refuse("lightgbm model: objective %q is not supported", name)
	}
	return nil
}

// floats reads numbers with a space in between, as many as wanted.
func (l *lightgbm) floats(part map[string]string, key string, n int) ([]float64, error) {
	if l.bytes += 8 * int64(n); l.bytes > l.limits.TensorBytes {
		return nil, tooLarge("lightgbm model: its numbers need more than %d bytes", l.limits.TensorBytes)
	}
	text := part[key]
	if n < 0 || n > len(text)/2+1 {
		return nil, fmt.Errorf("%s has fewer than %d numbers", key, n)
	}
	out := make([]float64, 0, n)
	for word := range strings.FieldsSeq(text) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil && !math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: number %d cannot be read", key, len(out))
		}
		out = append(out, v)
		if len(out) > n {
			break
		}
	}
	if len(out) != n {
		return nil, fmt.Errorf("%s does not have %d numbers", key, n)
	}
	return out, nil
}

// whole reads numbers that must be whole and within bounds.
func (l *lightgbm) whole(part map[string]string, key string, n int, least, most float64) ([]float64, error) {
	out, err := l.floats(part, key, n)
	for i, v := range out {
		if !(v >= least && v <= most) || v != math.Trunc(v) {
			return nil, fmt.Errorf("%s: number %d is not whole, or out of range", key, i)
		}
	}
	return out, err
}

func (l *lightgbm) tree(part map[string]string, target int32) error {
	leaves, err := strconv.Atoi(part["num_leaves"])
	if err != nil || leaves < 1 {
		return fmt.Errorf("num_leaves is not a number above 0")
	}
	n := leaves - 1
	f := &l.forest
	if leaves > l.limits.Nodes || len(f.nodes)+n+leaves > l.limits.Nodes {
		return tooLarge("lightgbm model has more than %d nodes", l.limits.Nodes)
	}
	values, err := l.floats(part, "leaf_value", leaves)
	if err != nil {
		return err
	}
	start, firstWeight := int32(len(f.nodes)), len(f.weights)
	f.roots = append(f.roots, start)
	if err := l.splits(part, n, start); err != nil {
		return err
	}
	for i, v := range values {
		at := int32(firstWeight + i)
		f.weights = append(f.weights, leafWeight{target, v})
		f.nodes = append(f.nodes, forestNode{mode: modeLeaf, yes: at, no: at + 1})
	}
	l.linear = append(l.linear, make([]linearLeaf, leaves)...)
	if part["is_linear"] == "1" {
		return l.linearLeaves(part, leaves, l.linear[firstWeight:])
	}
	return nil
}

// splits appends the inner nodes of a tree; its leaves follow them.
func (l *lightgbm) splits(part map[string]string, n int, start int32) error {
	if n == 0 {
		return nil
	}
	features, err := l.whole(part, "split_feature", n, 0, float64(l.scorer.features-1))
	if err != nil {
		return err
	}
	thresholds, err := l.floats(part, "threshold", n)
	if err != nil {
		return err
	}
	kinds, err := l.whole(part, "decision_type", n, -128, 127)
	if err != nil {
		return err
	}
	var sides [2][]float64
	for i, key := range []string{"left_child", "right_child"} {
		if sides[i], err = l.whole(part, key, n, float64(-n-1), float64(n-1)); err != nil {
			return err
		}
	}
	child := func(v float64) int32 {
		if v < 0 {
			return start + int32(n) + int32(-v) - 1
		}
		return start + int32(v)
	}
	sets, err := l.categorySets(part)
	if err != nil {
		return err
	}
	for i := range n {
		kind := uint8(int8(kinds[i]))
		node := forestNode{feature: int32(features[i]), value: zeroSplit(thresholds[i]), mode: modeLEQ, yes: child(sides[0][i]), no: child(sides[1][i]), missing: kind&2 != 0}
		switch kind >> 2 & 3 {
		case 0:
			node.kind = missingNone
		case 1:
			node.kind = missingZero
		case 2:
			node.kind = missingNaN
		default:
			return fmt.Errorf("decision_type %d", kind)
		}
		if kind&1 != 0 {
			at := int(thresholds[i])
			if !(thresholds[i] >= 0 && thresholds[i] < float64(len(sets))) {
				return fmt.Errorf("node %d has set %v of %d", i, thresholds[i], len(sets))
			}
			node.mode, node.kind, node.value, node.missing, node.set = modeSet, codeTruncate, 0, false, int32(len(l.forest.sets)-len(sets)+at)
		}
		l.forest.nodes = append(l.forest.nodes, node)
	}
	return nil
}

// zeroSplit returns the threshold that tells a feature as it is as the given one tells it where numbers close to 0 are 0, as they are to
// LightGBM before it looks at a tree.
func zeroSplit(threshold float64) float64 {
	switch {
	case threshold >= -zeroWidth && threshold < 0:
		return math.Nextafter(-zeroWidth, math.Inf(-1))
	case threshold >= 0 && threshold < zeroWidth:
		return zeroWidth
	}
	return threshold
}

// categorySets reads bitsets, one after the other, and adds them to the forest.
func (l *lightgbm) categorySets(part map[string]string) ([]valueSet, error) {
	n, _ := strconv.Atoi(part["num_cat"])
	if n <= 0 {
		return nil, nil
	}
	if n > len(part["cat_boundaries"]) {
		return nil, fmt.Errorf("num_cat is %d", n)
	}
	ends, err := l.whole(part, "cat_boundaries", n+1, 0, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	words, err := l.whole(part, "cat_threshold", int(ends[n]), 0, math.MaxUint32)
	if err != nil {
		return nil, err
	}
	sets := make([]valueSet, n)
	for i := range sets {
		if ends[i] > ends[i+1] {
			return nil, fmt.Errorf("cat_boundaries go down")
		}
		for w, word := range words[int(ends[i]):int(ends[i+1])] {
			for bit := range 32 {
				if uint32(word)>>bit&1 == 1 {
					sets[i].add(float64(32*w + bit))
				}
			}
		}
	}
	l.forest.sets = append(l.forest.sets, sets...)
	return sets, nil
}

func (l *lightgbm) linearLeaves(part map[string]string, n int, out []linearLeaf) error {
	constants, err := l.floats(part, "leaf_const", n)
	if err != nil {
		return err
	}
	counts, err := l.whole(part, "num_features", n, 0, float64(l.scorer.features))
	if err != nil {
		return err
	}
	total := 0.0
	for _, c := range counts {
		total += c
	}
	if total > float64(len(l.rest)+len(part["leaf_features"])) {
		return fmt.Errorf("num_features adds up to %v", total)
	}
	features, err := l.whole(part, "leaf_features", int(total), 0, float64(l.scorer.features-1))
	if err != nil {
		return err
	}
	coefficients, err := l.floats(part, "leaf_coeff", int(total))
	if err != nil {
		return err
	}
	l.models = true
	at := 0
	for i := range out {
		k := int(counts[i])
		out[i] = linearLeaf{constant: constants[i], coefficients: coefficients[at : at+k]}
		for _, f := range features[at : at+k] {
			out[i].features = append(out[i].features, int32(f))
		}
		if k == 0 { // no linear part: the constant is the value
			out[i].features = []int32{}
		}
		at += k
	}
	return nil
}

// sumLinear adds what the leaves give, those of linear trees by their features.
func (l *lightgbm) sumLinear(_ *memory, x []float64, rows, cols int, scores []float64) error {
	f := &l.forest
	for i := range rows {
		row := x[i*cols : (i+1)*cols]
		for _, root := range f.roots {
			leaf := f.nodes[f.reach(root, row)].yes
			w := f.weights[leaf]
			scores[i*f.targets+int(w.target)] += l.linear[leaf].value(row, w.value)
		}
	}
	return nil
}

func (m *linearLeaf) value(row []float64, otherwise float64) float64 {
	if m.features == nil {
		return otherwise
	}
	sum := m.constant
	for i, f := range m.features {
		v := row[f]
		if v != v {
			return otherwise
		}
		sum += m.coefficients[i] * v
	}
	return sum
}

// categories reads the names of the features, and the categories that pandas had, from the last line of the file.
func (l *lightgbm) categories(head map[string]string) error {
	names, infos := strings.Fields(head["feature_names"]), strings.Fields(head["feature_infos"])
	s := l.scorer
	if len(names) != s.features || len(infos) != 0 && len(infos) != s.features {
		return fmt.Errorf("%d names and %d descriptions of %d features", len(names), len(infos), s.features)
	}
	generated := true
	s.columns = make([]Feature, s.features)
	var categorical []int
	for i, name := range names {
		s.columns[i].Name = name
		generated = generated && name == "Column_"+strconv.Itoa(i)
		if len(infos) > 0 && infos[i] != "none" && !strings.HasPrefix(infos[i], "[") {
			s.columns[i].Categorical = true
			categorical = append(categorical, i)
		}
	}
	levels, err := l.pandasLevels()
	if err != nil {
		return err
	}
	if len(levels) == 0 {
		if generated {
			s.columns = nil
		}
		return nil
	}
	if len(levels) != len(categorical) { // some feature is constant, and has no description
		if categorical = l.categoricalFeatures(); len(levels) != len(categorical) {
			return refuse("lightgbm model: which of its columns its %d lists of categories belong to is not said: some column has ordered categories, which are no categories to LightGBM, or is constant", len(levels))
		}
	}
	for k, at := range categorical {
		s.columns[at].Categorical = true
		if s.columns[at].Categories, err = categoriesOf(levels[k]); err != nil {
			return fmt.Errorf("column %q: %w", names[at], err)
		}
	}
	return nil
}

// pandasLevels reads the categories of the columns that had some in pandas, in the order of the columns.
func (l *lightgbm) pandasLevels() ([][]any, error) {
	const key = "pandas_categorical:"
	i := bytes.LastIndex(l.rest, []byte(key))
	if i < 0 {
		return nil, nil
	}
	text, _, _ := bytes.Cut(l.rest[i+len(key):], []byte("\n"))
	if len(text) > 1<<24 {
		return nil, tooLarge("lightgbm model: its categories take more than %d bytes", 1<<24)
	}
	var levels [][]any
	if err := json.Unmarshal(text, &levels); err != nil {
		return nil, fmt.Errorf("%s is no list of lists", strings.TrimSuffix(key, ":"))
	}
	return levels, nil
}

// categoricalFeatures reads the parameter that names the categorical features by their numbers, in ascending order.
func (l *lightgbm) categoricalFeatures() []int {
	_, rest, _ := bytes.Cut(l.rest, []byte("\n[categorical_feature: "))
	text, _, found := bytes.Cut(rest, []byte("]\n"))
	if !found || len(text) > 1<<20 {
		return nil
	}
	var out []int
	for word := range strings.SplitSeq(string(text), ",") {
		at, err := strconv.Atoi(word)
		if err != nil || at < 0 || at >= l.scorer.features || len(out) > 0 && at <= out[len(out)-1] {
			return nil
		}
		out = append(out, at)
	}
	return out
}
