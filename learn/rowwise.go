package learn

// rowwise reports whether each row of the outputs follows from that row of the inputs alone, as far as the operators say: a program
// of which it is not known runs on all rows at once.
func (p *Program) rowwise() bool {
	for _, in := range p.inputs {
		if len(in.dims) < 2 || in.dims[0].name == "" && in.dims[0].size > 0 {
			return false
		}
	}
	produced := map[string]bool{}
	for _, in := range p.inputs {
		produced[in.name] = true
	}
	for _, s := range p.steps {
		if !s.node.rowwise(produced, p.constant, s.in) {
			return false
		}
		for _, name := range s.node.outputs {
			produced[name] = true
		}
	}
	return true
}

// rowwise reports the same of one node. What it reads is a constant or comes from the rows.
func (n *onnxNode) rowwise(rows map[string]bool, constant func(int) *Tensor, slots []int) bool {
	attr := func(name string, def int64) int64 {
		for _, a := range n.attrs {
			if a.name == name && a.kind == attrInt {
				return a.i
			}
		}
		return def
	}
	if len(n.inputs) == 0 || !rows[n.inputs[0]] {
		return false
	}
	if n.domain == domainML {
		switch n.op {
		case "TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble", "LinearRegressor", "LinearClassifier", "SVMRegressor", "SVMClassifier",
			"Scaler", "Imputer", "Normalizer", "Binarizer", "LabelEncoder", "OneHotEncoder", "ZipMap", "CategoryMapper":
			return true
		}
		return false
	}
	switch n.op {
	case "Identity", "Cast", "Not", "IsNaN", "Abs", "Exp", "Log", "Sqrt", "Neg", "Relu", "Sigmoid", "Tanh", "Reciprocal":
		return true
	case "Flatten":
		return attr("axis", 1) == 1
	case "Concat":
		for _, name := range n.inputs {
			if !rows[name] {
				return false
			}
		}
		return attr("axis", 0) == 1
	case "ArgMax", "ArgMin":
		return attr("axis", 0) == 1
	case "Add", "Sub", "Mul", "Div", "Pow", "Less", "Greater":
		t := constant(slots[1])
		return t != nil && t.Len() == 1 && len(t.Shape) <= 1
	}
	return false
}
