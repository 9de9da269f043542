package gate

import (
	"fmt"
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
)

// maxCost bounds the work of one expression; a rule that exceeds it is undetermined.
const maxCost = 1_000_000

// environment is what a rule sees: one dynamic variable for each kind of evidence, the strings extension, and these functions.
//
//	verdict(list)      the conjunction of verdicts and bools
//	above(e, limit)    pass when the whole interval of the estimate lies above the limit, fail when none of it does
//	defined(e)         the estimate has a value and both ends of its interval
//	estimate(e)        the estimate as a person reads it
//	number(x)          a number in at most four significant digits
//	count(x)           a whole number with thousands separated
func environment() (*cel.Env, error) {
	opts := append(
		manifest.ExpressionLimits(),
		ext.Strings(),
		cel.Function("verdict", cel.Overload("verdict_list", []*cel.Type{cel.ListType(cel.DynType)}, cel.StringType,
			cel.UnaryBinding(conjunction))),
		cel.Function("estimate", cel.Overload("estimate_map", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(estimateText))),
		cel.Function("above", cel.Overload("above_map_dyn", []*cel.Type{cel.DynType, cel.DynType}, cel.StringType, cel.BinaryBinding(above))),
		cel.Function("defined", cel.Overload("defined_map", []*cel.Type{cel.DynType}, cel.BoolType, cel.UnaryBinding(defined))),
		cel.Function("number", cel.Overload("number_dyn", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(numberText))),
		cel.Function("count", cel.Overload("count_dyn", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(countText))),
	)
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

// estimateOf reads the JSON form of an estimate; what is absent or null is NaN.
func estimateOf(v ref.Val) assay.Estimate {
	e := assay.Estimate{Value: math.NaN(), Lo: math.NaN(), Hi: math.NaN()}
	m, ok := v.(traits.Mapper)
	if !ok {
		return e
	}
	for key, to := range map[string]*float64{"value": &e.Value, "lo": &e.Lo, "hi": &e.Hi} {
		if x, found := m.Find(types.String(key)); found {
			*to = float(x)
		}
	}
	return e
}

// float reads a number of any type; what is none is NaN.
func float(v ref.Val) float64 {
	switch x := v.Value().(type) {
	case float64:
		return x
	case int64:
		return float64(x)
	case uint64:
		return float64(x)
	}
	return math.NaN()
}

func estimateText(v ref.Val) ref.Val { return types.String(estimateOf(v).String()) }

func above(v, limit ref.Val) ref.Val {
	return types.String(estimateOf(v).Above(float(limit)))
}

func defined(v ref.Val) ref.Val {
	e := estimateOf(v)
	return types.Bool(e.Defined() && e.HasInterval())
}

func numberText(v ref.Val) ref.Val {
	return types.String(assay.FormatNumber(float(v), math.NaN()))
}

func countText(v ref.Val) ref.Val {
	x := float(v)
	if !(math.Abs(x) < 1<<53) { // NaN as well
		return types.String("undefined")
	}
	return types.String(assay.FormatCount(int64(x)))
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
func compile(env *cel.Env, src string, text bool) (cel.Program, error) {
	tree, err := manifest.Compile(env, src)
	if err != nil {
		return nil, err
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
