package gate

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/assay-ml/assay"
)

// maxCost bounds the work of one expression; a rule that exceeds it is undetermined.
const maxCost = 1_000_000

// environment is what a rule sees: one dynamic variable for each kind of evidence, the strings extension, and the function
// verdict(list), the conjunction of verdicts and bools.
func environment() (*cel.Env, error) {
	opts := []cel.EnvOption{
		ext.Strings(),
		cel.Function("verdict", cel.Overload("verdict_list", []*cel.Type{cel.ListType(cel.DynType)}, cel.StringType,
			cel.UnaryBinding(conjunction))),
		cel.Function("estimate", cel.Overload("estimate_map", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(estimateText))),
	}
	for _, v := range variables {
		opts = append(opts, cel.Variable(v, cel.DynType))
	}
	return cel.NewEnv(opts...)
}

func conjunction(v ref.Val) ref.Val {
	list, ok := v.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	out := assay.Undetermined
	first := true
	for it := list.Iterator(); it.HasNext() == types.True; {
		w, err := verdictOf(it.Next())
		if err != nil {
			return types.NewErr("%s", err)
		}
		if first {
			out, first = w, false
		} else {
			out = out.And(w)
		}
	}
	return types.String(out)
}

// estimateText writes an estimate for a person; it takes the JSON form.
func estimateText(v ref.Val) ref.Val {
	m, ok := v.(traits.Mapper)
	if !ok {
		return types.String("undefined")
	}
	num := func(key string) (float64, bool) {
		x, found := m.Find(types.String(key))
		if !found {
			return 0, false
		}
		f, ok := x.Value().(float64)
		return f, ok
	}
	val, ok := num("value")
	if !ok {
		return types.String("undefined")
	}
	lo, okLo := num("lo")
	hi, okHi := num("hi")
	if !okLo || !okHi {
		return types.String(assay.Point(val, "", 0).String())
	}
	return types.String(assay.Estimate{Value: val, Lo: lo, Hi: hi}.String())
}

// verdictOf reads the answer of a rule.
func verdictOf(v ref.Val) (assay.Verdict, error) {
	switch x := v.Value().(type) {
	case bool:
		if x {
			return assay.Pass, nil
		}
		return assay.Fail, nil
	case string:
		switch w := assay.Verdict(x); w {
		case assay.Pass, assay.Fail, assay.Undetermined:
			return w, nil
		}
		return "", fmt.Errorf("%q is none of pass, fail, undetermined", x)
	}
	return "", fmt.Errorf("the answer is a %s, neither a bool nor a verdict", v.Type().TypeName())
}

// compile checks an expression and prepares it for evaluation.
func compile(src string, text bool) (cel.Program, error) {
	if strings.TrimSpace(src) == "" {
		return nil, errors.New("the expression is empty")
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	tree, iss := env.Compile(src)
	if iss.Err() != nil {
		return nil, errors.New(strings.ReplaceAll(iss.Err().Error(), "\n", " "))
	}
	switch t := tree.OutputType(); {
	case t.IsExactType(cel.DynType):
	case t.IsExactType(cel.StringType):
	case t.IsExactType(cel.BoolType) && !text:
	default:
		return nil, fmt.Errorf("the expression gives a %s", t)
	}
	return env.Program(tree, cel.CostLimit(maxCost))
}
