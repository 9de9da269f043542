package learn

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// loadXGBoost reads a model of XGBoost in JSON or UBJSON. It gives what Booster.predict gives with all trees, but that the trees after
// best_iteration are left out where scikit-learn's interface saved the model, as that interface does.
func loadXGBoost(b []byte, limits Limits) (*Predictor, error) {
	read := readUBJSON
	if isJSON(b) {
		read = readJSON
	}
	d, err := read(b, limits)
	if err != nil {
		return nil, err
	}
	x := &xgboost{limits: limits, booster: &scorer[float32]{name: string(FormatXGBoost), scale: 1, divide: 1}}
	if err := x.load(&d); err != nil {
		if assay.CodeOf(err) != assay.Internal {
			return nil, err
		}
		return nil, assay.Errorf(assay.Invalid, "xgboost model: %w", err)
	}
	p := newPredictor(FormatXGBoost, x.booster, limits)
	p.rowwise = true
	if p.task = assay.Regression; x.booster.classes == 2 {
		p.task, p.positive = assay.Binary, "1"
	} else if x.booster.classes > 2 {
		p.task = assay.Multiclass
	}
	return p, nil
}

type xgboost struct {
	limits Limits
	words  int // of sets of categories
	// unbounded: the version that wrote the file, one before 3.2, takes a probability that rows start from as it is, and refuses 0 and 1.
	unbounded bool
	booster   *scorer[float32]
}

func (x *xgboost) load(d *document) error {
	if v := d.field("version").floats(); len(v) > 1 {
		x.unbounded = v[0] < 3 || v[0] == 3 && v[1] < 2
	}
	learner := d.field("learner")
	if learner == nil || learner.kind != 'o' {
		return fmt.Errorf("there is no learner")
	}
	b := x.booster
	param := learner.field("learner_model_param")
	var sizes [3]int
	for i, key := range []string{"num_feature", "num_class", "num_target"} {
		var err error
		if sizes[i], err = param.field(key).integer(0); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	b.features, b.groups = sizes[0], max(sizes[1], sizes[2], 1)
	if b.features < 1 || b.features > x.limits.Fields || b.groups > x.limits.Fields {
		return fmt.Errorf("%d features and %d outputs", b.features, b.groups)
	}
	if err := x.objective(learner.at("objective", "name"), sizes[1]); err != nil {
		return err
	}
	if err := x.baseScore(param.field("base_score")); err != nil {
		return err
	}
	if err := x.columns(learner); err != nil {
		return err
	}
	return x.gradientBooster(learner)
}

// xgboostLinks returns how objectives turn margins into predictions.
func xgboostLinks() map[string]link {
	return map[string]link{
		"binary:logistic": linkLogistic, "reg:logistic": linkLogistic, "binary:logitraw": linkIdentity, "binary:hinge": linkHinge,
		"multi:softprob": linkSoftmax, "multi:softmax": linkSoftmax,
		"count:poisson": linkExp, "reg:gamma": linkExp, "reg:tweedie": linkExp, "survival:cox": linkExp, "survival:aft": linkExp,
		"reg:squarederror": linkIdentity, "reg:linear": linkIdentity, "reg:squaredlogerror": linkIdentity, "reg:pseudohubererror": linkIdentity,
		"reg:absoluteerror": linkIdentity, "reg:quantileerror": linkIdentity, "reg:expectileerror": linkIdentity,
		"rank:pairwise": linkIdentity, "rank:ndcg": linkIdentity, "rank:map": linkIdentity,
	}
}

func (x *xgboost) objective(name *document, classes int) error {
	if name == nil || name.kind != 's' {
		return fmt.Errorf("there is no objective")
	}
	b := x.booster
	l, ok := xgboostLinks()[name.text]
	if !ok {
		return refuse("xgboost model: objective %q is not supported", name.text)
	}
	switch b.link = l; {
	case l == linkSoftmax:
		if classes < 2 {
			return fmt.Errorf("objective %s with %d classes", name.text, classes)
		}
		b.classes = classes
	case name.text == "binary:logistic" && b.groups == 1:
		b.classes = 2
	}
	return nil
}

// leastBase is how close to 0 or 1 a probability is that rows start from, since 3.2: that of a label which is the same in every row of
// training is in the file as 0 or 1.
const leastBase = float32(1e-6)

// baseScore reads the score that every row starts from: one number or one an output, which since 3.1 is the text of a vector. The file
// has it as a prediction, so it goes through the inverse of the link.
func (x *xgboost) baseScore(d *document) error {
	b := x.booster
	b.base = make([]float32, b.groups)
	text := "0.5"
	switch {
	case d == nil:
	case d.kind == 's':
		text = d.text
	case d.kind == 'v':
		text = strconv.FormatFloat(d.number, 'g', -1, 32)
	default:
		return fmt.Errorf("base_score is not a number")
	}
	parts := strings.Split(strings.Trim(text, "[] "), ",")
	if len(parts) != 1 && len(parts) != b.groups {
		return fmt.Errorf("%d base scores for %d outputs", len(parts), b.groups)
	}
	for i := range b.base {
		v, err := strconv.ParseFloat(strings.TrimSpace(parts[i%len(parts)]), 32)
		if err != nil {
			return fmt.Errorf("base_score is not a number")
		}
		switch base := float32(v); b.link {
		case linkLogistic:
			if !(base >= 0 && base <= 1) || x.unbounded && (base == 0 || base == 1) {
				return fmt.Errorf("base_score is %v, which is no probability", v)
			}
			if !x.unbounded {
				base = min(max(base, leastBase), 1-leastBase)
			}
			b.base[i] = float32(-math.Log(float64(1/base - 1)))
		case linkExp:
			b.base[i] = float32(math.Log(float64(base)))
		default:
			b.base[i] = base
		}
	}
	return nil
}

// columns reads the names and kinds of the features, and since 3.1 the categories.
func (x *xgboost) columns(learner *document) error {
	b := x.booster
	names, types := learner.field("feature_names").strings(), learner.field("feature_types").strings()
	if len(names) == 0 {
		return nil
	}
	if len(names) != b.features || len(types) != 0 && len(types) != b.features {
		return fmt.Errorf("%d names and %d types for %d features", len(names), len(types), b.features)
	}
	b.columns = make([]Feature, b.features)
	cats := learner.at("gradient_booster", "model", "cats", "enc")
	if cats == nil {
		cats = learner.at("gradient_booster", "gbtree", "model", "cats", "enc")
	}
	for i, name := range names {
		b.columns[i] = Feature{Name: name, Categorical: len(types) > 0 && types[i] == "c"}
		if cats != nil && cats.kind == 'a' && i < len(cats.items) {
			var err error
			if b.columns[i].Categories, err = categoriesOf(categoryValues(&cats.items[i])); err != nil {
				return fmt.Errorf("column %q: %w", name, err)
			}
			if b.columns[i].Categories != nil {
				b.columns[i].Categories.closed = true
			}
		}
	}
	return nil
}

// categoryValues reads the categories of one feature: numbers, or the bytes of strings one after the other.
func categoryValues(d *document) []any {
	values, offsets := d.field("values").floats(), d.field("offsets").floats()
	var out []any
	if d.field("offsets") == nil {
		for _, v := range values {
			out = append(out, v)
		}
		return out
	}
	for i := 1; i < len(offsets); i++ {
		lo, hi := offsets[i-1], offsets[i]
		if !(lo >= 0 && lo <= hi && hi <= float64(len(values))) {
			return nil
		}
		text := make([]byte, 0, int(hi)-int(lo))
		for _, v := range values[int(lo):int(hi)] {
			text = append(text, byte(int(v)))
		}
		out = append(out, string(text))
	}
	return out
}

func (x *xgboost) gradientBooster(learner *document) error {
	g := learner.field("gradient_booster")
	name := g.field("name")
	if name == nil {
		return fmt.Errorf("there is no gradient booster")
	}
	model := g.field("model")
	var weights []float64
	switch name.text {
	case "gbtree":
	case "dart":
		model = g.at("gbtree", "model")
		weights = g.field("weight_drop").floats()
	case "gblinear":
		return x.linear(model.field("weights").floats())
	default:
		return refuse("xgboost model: booster %q is not supported", name.text)
	}
	trees, info := model.field("trees"), model.field("tree_info").floats()
	if trees == nil || trees.kind != 'a' || len(trees.items) != len(info) {
		return fmt.Errorf("the numbers of trees and of their outputs differ")
	}
	if name.text == "dart" && len(weights) != len(info) {
		return fmt.Errorf("%d weights for %d trees", len(weights), len(info))
	}
	count, err := x.kept(learner, model, len(info))
	if err != nil {
		return err
	}
	f := &forest[float32, int32]{targets: x.booster.groups}
	for t := range count {
		by := float32(1)
		if weights != nil {
			by = float32(weights[t])
		}
		if !(info[t] >= 0 && info[t] < float64(f.targets)) {
			return fmt.Errorf("tree %d belongs to output %v of %d", t, info[t], f.targets)
		}
		if err := x.tree(f, &trees.items[t], int32(info[t]), by); err != nil {
			return fmt.Errorf("tree %d: %w", t, err)
		}
	}
	if err := prepare32(f); err != nil {
		return err
	}
	if f.features > x.booster.features {
		return fmt.Errorf("a tree uses feature %d of %d", f.features-1, x.booster.features)
	}
	x.booster.add = f.sum
	return nil
}

// kept returns the number of trees that count.
func (x *xgboost) kept(learner, model *document, trees int) (int, error) {
	best, err := learner.at("attributes", "best_iteration").integer(-1)
	if err != nil || best < 0 || learner.at("attributes", "scikit_learn") == nil {
		return trees, err
	}
	if ends := model.field("iteration_indptr").floats(); len(ends) > best+1 {
		if n := ends[best+1]; n >= 0 && n <= float64(trees) {
			return int(n), nil
		}
	}
	parallel, err := model.at("gbtree_model_param", "num_parallel_tree").integer(1)
	if err != nil {
		return 0, err
	}
	return min(trees, (best+1)*max(parallel, 1)*x.booster.groups), nil
}

// linear adds up weights [features+1][groups], the last row of which is the bias. Missing features count for nothing.
func (x *xgboost) linear(weights []float64) error {
	b := x.booster
	if len(weights) != (b.features+1)*b.groups {
		return fmt.Errorf("%d weights for %d features and %d outputs", len(weights), b.features, b.groups)
	}
	for g := range b.base { // as the library does up to 3.2, whose base scores may differ
		b.base[g] = b.base[0]
	}
	b.add = func(_ *memory, x []float32, rows, cols int, scores []float32) error {
		k := b.groups
		for i := range rows {
			for g := range k {
				s := scores[i*k+g] + float32(weights[b.features*k+g])
				for j, v := range x[i*cols : (i+1)*cols] {
					if v == v {
						s += v * float32(weights[j*k+g])
					}
				}
				scores[i*k+g] = s
			}
		}
		return nil
	}
	return nil
}

// tree appends a tree to a forest.
func (x *xgboost) tree(f *forest[float32, int32], d *document, target int32, by float32) error {
	left, right := d.field("left_children").floats(), d.field("right_children").floats()
	features, conditions := d.field("split_indices").floats(), d.field("split_conditions").floats()
	n := len(left)
	missing, err := flags(d.field("default_left"), n)
	if err != nil {
		return err
	}
	types, err := flags(d.field("split_type"), n)
	if err != nil {
		return err
	}
	if n == 0 || len(right) != n || len(features) != n || len(conditions) != n {
		return fmt.Errorf("the arrays of %d nodes differ in length", n)
	}
	if len(f.nodes)+n > x.limits.Nodes {
		return tooLarge("xgboost model has more than %d nodes", x.limits.Nodes)
	}
	vector, err := d.at("tree_param", "size_leaf_vector").integer(1)
	if err != nil {
		return err
	}
	vector = max(vector, 1)
	leafWeights, baseWeights := d.field("leaf_weights").floats(), d.field("base_weights").floats()
	if vector > 1 && (vector != f.targets || len(leafWeights)%vector != 0 || leafWeights == nil && len(baseWeights) != n*vector) {
		return fmt.Errorf("leaves of %d values for %d outputs", vector, f.targets)
	}
	sets, err := categorySets(d, n)
	if err != nil {
		return err
	}
	for _, set := range sets {
		if x.words += len(set.bits); int64(x.words) > x.limits.TensorBytes/8 {
			return tooLarge("xgboost model: its categories need more than %d bytes", x.limits.TensorBytes)
		}
	}
	start := int32(len(f.nodes))
	f.roots = append(f.roots, start)
	for i := range n {
		if left[i] == -1 {
			from := int32(len(f.weights))
			switch {
			case vector == 1:
				f.weights = append(f.weights, leafWeight{target, float64(float32(conditions[i]) * by)})
			default:
				values := baseWeights[min(i*vector, len(baseWeights)):]
				if leafWeights != nil {
					at := int(right[i])
					if !(right[i] >= 0 && at < len(leafWeights)/vector) {
						return fmt.Errorf("node %d: leaf %v of %d", i, right[i], len(leafWeights)/vector)
					}
					values = leafWeights[at*vector:]
				}
				for k := range vector {
					f.weights = append(f.weights, leafWeight{int32(k), float64(float32(values[k]) * by)})
				}
			}
			f.nodes = append(f.nodes, forestNode{mode: modeLeaf, yes: from, no: int32(len(f.weights))})
			continue
		}
		if !(left[i] >= 0 && left[i] < float64(n) && right[i] >= 0 && right[i] < float64(n) && features[i] >= 0 && features[i] < float64(x.booster.features)) {
			return fmt.Errorf("node %d has children %v and %v of %d nodes and feature %v of %d", i, left[i], right[i], n, features[i], x.booster.features)
		}
		node := forestNode{feature: int32(features[i]), mode: modeLT, value: conditions[i], yes: start + int32(left[i]), no: start + int32(right[i]), missing: missing[i]}
		if types[i] { // members of the set go right
			set, ok := sets[i]
			if !ok {
				return fmt.Errorf("node %d has no categories", i)
			}
			node.mode, node.kind, node.value, node.set = modeSet, codeFloor, 0, int32(len(f.sets))
			node.yes, node.no, node.missing = node.no, node.yes, !missing[i]
			f.sets = append(f.sets, set)
		}
		f.nodes = append(f.nodes, node)
	}
	return nil
}

// flags reads an array of numbers or booleans; one that is absent is all false.
func flags(d *document, n int) ([]bool, error) {
	out := make([]bool, n)
	switch {
	case d == nil || d.kind == 'a' && len(d.items) == 0:
		return out, nil
	case d.kind == 'n' && len(d.numbers) == n:
		for i, v := range d.numbers {
			out[i] = v != 0
		}
		return out, nil
	case d.kind == 'a' && len(d.items) == n:
		for i := range d.items {
			out[i] = d.items[i].number != 0
		}
		return out, nil
	}
	return nil, fmt.Errorf("an array of %d flags differs in length", n)
}

// categorySets reads the categories of the nodes that have some.
func categorySets(d *document, n int) (map[int]valueSet, error) {
	categories, nodes := d.field("categories").floats(), d.field("categories_nodes").floats()
	starts, sizes := d.field("categories_segments").floats(), d.field("categories_sizes").floats()
	if len(starts) != len(nodes) || len(sizes) != len(nodes) {
		return nil, fmt.Errorf("the arrays of %d nodes with categories differ in length", len(nodes))
	}
	out := map[int]valueSet{}
	total := 0.0
	for i, node := range nodes {
		lo, size := starts[i], sizes[i]
		total += size
		if !(node >= 0 && node < float64(n) && lo >= 0 && size >= 0 && lo+size <= float64(len(categories)) && total <= float64(len(categories))) {
			return nil, fmt.Errorf("node %v has categories from %v, %v of %d", node, lo, size, len(categories))
		}
		var set valueSet
		for _, c := range categories[int(lo):int(lo+size)] {
			set.add(c)
		}
		out[int(node)] = set
	}
	return out, nil
}
