package learn

import (
	"fmt"
	"math"
	"strings"
)

func recurrentOperators() []operator {
	return []operator{
		{name: "LSTM", least: 3, most: 8, compile: func(c *nodeContext) (kernel, error) { return compileRecurrent(c, 4) }},
		{name: "GRU", least: 3, most: 6, compile: func(c *nodeContext) (kernel, error) { return compileRecurrent(c, 3) }},
		{name: "RNN", least: 3, most: 6, compile: func(c *nodeContext) (kernel, error) { return compileRecurrent(c, 1) }},
	}
}

// A recurrent is an LSTM (4 gates), a GRU (3) or a plain RNN (1).
type recurrent struct {
	gates, hidden, directions int
	backwards                 bool // the first direction
	batchFirst                bool
	linearBeforeReset         bool
	coupled                   bool    // the forget gate of an LSTM is what the input gate leaves
	clip                      float64 // bound of what goes into an activation, 0 for none
	activations               [][]activation
}

// An activation is a function that ends a gate.
type activation func(float64) float64

func compileRecurrent(c *nodeContext, gates int) (kernel, error) {
	r := &recurrent{gates: gates, hidden: int(c.int("hidden_size", 0)), directions: 1, batchFirst: c.int("layout", 0) != 0}
	switch d := c.string("direction", "forward"); d {
	case "forward":
	case "reverse":
		r.backwards = true
	case "bidirectional":
		r.directions = 2
	default:
		return nil, fmt.Errorf("direction %q is not known", d)
	}
	if gates == 3 {
		r.linearBeforeReset = c.int("linear_before_reset", 0) != 0
	}
	if gates == 4 {
		r.coupled = c.int("input_forget", 0) != 0
	}
	r.clip = float64(c.float("clip", 0))
	if c.given("clip") && !(r.clip > 0) {
		return nil, fmt.Errorf("clip is %v", r.clip)
	}
	if r.hidden < 1 || r.hidden > 1<<20 {
		return nil, fmt.Errorf("hidden_size is %d", r.hidden)
	}
	usual := map[int][]string{4: {"Sigmoid", "Tanh", "Tanh"}, 3: {"Sigmoid", "Tanh"}, 1: {"Tanh"}}[gates]
	names := c.strings("activations")
	if !c.given("activations") {
		for range r.directions {
			names = append(names, usual...)
		}
	}
	if len(names) != len(usual)*r.directions {
		return nil, fmt.Errorf("%d activations, %d directions need %d", len(names), r.directions, len(usual)*r.directions)
	}
	alphas, betas := c.floats("activation_alpha"), c.floats("activation_beta")
	for len(names) > 0 {
		var functions []activation
		for _, name := range names[:len(usual)] {
			f, err := activationOf(name, &alphas, &betas)
			if err != nil {
				return nil, err
			}
			functions = append(functions, f)
		}
		r.activations = append(r.activations, functions)
		names = names[len(usual):]
	}
	return r.run, nil
}

// activationOf returns the function of that name. As in ONNX Runtime each takes the next of alphas and of betas that nobody has taken, if it
// has such a parameter at all, and its default when there is none left.
func activationOf(name string, alphas, betas *[]float32) (activation, error) {
	var missing error
	take := func(from *[]float32, parameter string, def float64) float64 {
		if len(*from) == 0 {
			if math.IsNaN(def) {
				missing = fmt.Errorf("activation %q has no %s", name, parameter)
			}
			return def
		}
		v := float64((*from)[0])
		*from = (*from)[1:]
		return v
	}
	alpha := func(def float64) float64 { return take(alphas, "alpha", float64(float32(def))) }
	beta := func(def float64) float64 { return take(betas, "beta", float64(float32(def))) }
	none := math.NaN() // ONNX and ONNX Runtime differ in the default, or ONNX has none
	var f activation
	switch strings.ToLower(name) {
	case "sigmoid":
		f = logistic
	case "tanh":
		f = math.Tanh
	case "relu":
		f = func(x float64) float64 { return max(x, 0) }
	case "softsign":
		f = func(x float64) float64 { return x / (1 + math.Abs(x)) }
	case "softplus":
		f = func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
	case "affine":
		a, b := alpha(none), beta(none)
		f = func(x float64) float64 { return a*x + b }
	case "scaledtanh":
		a, b := alpha(none), beta(none)
		f = func(x float64) float64 { return a * math.Tanh(b*x) }
	case "hardsigmoid":
		a, b := alpha(0.2), beta(0.5)
		f = func(x float64) float64 { return min(max(a*x+b, 0), 1) }
	case "leakyrelu":
		a := alpha(0.01)
		f = func(x float64) float64 {
			if x < 0 {
				return a * x
			}
			return x
		}
	case "thresholdedrelu":
		a := alpha(none)
		f = func(x float64) float64 {
			if x > a {
				return x
			}
			return 0
		}
	case "elu":
		a := alpha(1)
		f = func(x float64) float64 {
			if x < 0 {
				return a * math.Expm1(x)
			}
			return x
		}
	default:
		return nil, fmt.Errorf("activation %q is not known", name)
	}
	return f, missing
}

func optional(in []*Tensor, i int) *Tensor {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// check reports an input that does not have the shape that follows from the first.
func (r *recurrent) check(in []*Tensor, steps, rows, features int) error {
	g, h, d := r.gates, r.hidden, r.directions
	state := [3]int{d, rows, h}
	if r.batchFirst {
		state = [3]int{rows, d, h}
	}
	shapes := [8][]int{1: {d, g * h, features}, 2: {d, g * h, h}, 3: {d, 2 * g * h}, 4: {rows}, 5: state[:], 6: state[:], 7: {d, 3 * h}}
	for i, shape := range shapes {
		typ := Float32
		if i == 4 {
			typ = Int32
		}
		t := optional(in, i)
		if t != nil && (t.Type != typ || i > 0 && !sameShape(t.Shape, shape)) {
			return fmt.Errorf("input %d is a %s tensor of shape %s, it is to be %s of shape %s", i, t.Type, shapeString(t.Shape), typ, shapeString(shape))
		}
	}
	if lengths := optional(in, 4); lengths != nil {
		for _, v := range lengths.Ints {
			if v < 0 || v > int64(steps) {
				return fmt.Errorf("a sequence of %d steps of %d", v, steps)
			}
		}
	}
	return nil
}

// run computes the states of all steps, and the last of each sequence. As in ONNX Runtime what follows the end of a sequence is 0, and so are
// the states of one without a step.
func (r *recurrent) run(m *memory, in []*Tensor) ([]*Tensor, error) {
	x := in[0]
	if len(x.Shape) != 3 {
		return nil, fmt.Errorf("input of shape %s is not [steps, rows, features]", shapeString(x.Shape))
	}
	steps, rows, features := x.Shape[0], x.Shape[1], x.Shape[2]
	if r.batchFirst {
		steps, rows = rows, steps
	}
	if err := r.check(in, steps, rows, features); err != nil {
		return nil, err
	}
	g, h, d := r.gates, r.hidden, r.directions
	ofSteps, ofStates := [4]int{steps, d, rows, h}, [3]int{d, rows, h}
	if r.batchFirst {
		ofSteps, ofStates = [4]int{rows, steps, d, h}, [3]int{rows, d, h}
	}
	y, err := m.tensor(Float32, ofSteps[:]...)
	if err != nil {
		return nil, err
	}
	last, err := m.tensor(Float32, ofStates[:]...)
	if err != nil {
		return nil, err
	}
	cell, err := m.tensor(Float32, ofStates[:]...)
	if err != nil {
		return nil, err
	}
	if t := optional(in, 5); t != nil {
		copy(last.Floats, t.Floats)
	}
	if t := optional(in, 6); t != nil {
		copy(cell.Floats, t.Floats)
	}
	w := weights{}
	if w.work, err = m.scratch((2*g + 1) * h); err != nil {
		return nil, err
	}
	lengths := optional(in, 4)
	for dir := range d {
		w.input, w.state, w.activations = in[1].Floats[dir*g*h*features:(dir+1)*g*h*features], in[2].Floats[dir*g*h*h:(dir+1)*g*h*h], r.activations[dir]
		if t := optional(in, 3); t != nil {
			w.bias = t.Floats[dir*2*g*h : (dir+1)*2*g*h]
		}
		if t := optional(in, 7); t != nil {
			w.peepholes = t.Floats[dir*3*h : (dir+1)*3*h]
		}
		for row := range rows {
			n := steps
			if lengths != nil {
				n = int(lengths.Ints[row])
			}
			at := dir*rows + row
			if r.batchFirst {
				at = row*d + dir
			}
			state, cells := last.Floats[at*h:][:h], cell.Floats[at*h:][:h]
			if lengths != nil && n == 0 {
				clear(state)
				clear(cells)
			}
			for step := range n {
				if r.backwards || dir == 1 {
					step = n - 1 - step
				}
				from, to := step*rows+row, (step*d+dir)*rows+row
				if r.batchFirst {
					from, to = row*steps+step, (row*steps+step)*d+dir
				}
				r.step(&w, x.Floats[from*features:][:features], state, cells)
				copy(y.Floats[to*h:], state)
			}
		}
	}
	if g == 4 {
		return m.list(y, last, cell), nil
	}
	return m.list(y, last), nil
}

// weights are those of one direction, and the room that a step works in.
type weights struct {
	work                          []float64
	input, state, bias, peepholes []float32
	activations                   []activation
}

// end is an activation of what goes into it, within the bounds of clip.
func (r *recurrent) end(f activation, v float64) float64 {
	if r.clip > 0 {
		v = min(max(v, -r.clip), r.clip)
	}
	return f(v)
}

// step moves the state of one row by one step. It sums in float64 and rounds the state.
func (r *recurrent) step(w *weights, x, state, cell []float32) {
	g, h := r.gates, r.hidden
	fromX, fromState := w.work[:g*h], w.work[g*h:2*g*h]
	for k := range g * h {
		a, b := 0.0, 0.0
		for i, v := range x {
			a += float64(v) * float64(w.input[k*len(x)+i])
		}
		for i, v := range state {
			b += float64(v) * float64(w.state[k*h+i])
		}
		if w.bias != nil {
			a += float64(w.bias[k])
			b += float64(w.bias[g*h+k])
		}
		fromX[k], fromState[k] = a, b
	}
	switch f := w.activations; g {
	case 1:
		for i := range h {
			state[i] = float32(r.end(f[0], fromX[i]+fromState[i]))
		}
	case 4: // input, output, forget, cell
		for i := range h {
			sum := func(k int) float64 { return fromX[k*h+i] + fromState[k*h+i] }
			peep := func(k int) float64 {
				if w.peepholes == nil {
					return 0
				}
				return float64(w.peepholes[k*h+i]) * float64(cell[i])
			}
			take := r.end(f[0], sum(0)+peep(0))
			keep := 1 - take
			if !r.coupled {
				keep = r.end(f[0], sum(2)+peep(2))
			}
			cell[i] = float32(keep*float64(cell[i]) + take*r.end(f[1], sum(3)))
			state[i] = float32(r.end(f[0], sum(1)+peep(1)) * f[2](float64(cell[i])))
		}
	case 3: // update, reset, hidden
		gate := func(k, i int) float64 { return r.end(f[0], fromX[k*h+i]+fromState[k*h+i]) }
		next := w.work[2*g*h : 2*g*h+h]
		if !r.linearBeforeReset { // the second gate takes effect on the state before it is multiplied
			for j, v := range state {
				next[j] = gate(1, j) * float64(v)
			}
			for i := range h {
				s := 0.0
				if w.bias != nil {
					s = float64(w.bias[g*h+2*h+i])
				}
				for j, v := range next {
					s += v * float64(w.state[(2*h+i)*h+j])
				}
				fromState[2*h+i] = s
			}
		}
		for i := range h {
			s := fromState[2*h+i]
			if r.linearBeforeReset {
				s *= gate(1, i)
			}
			z := gate(0, i)
			state[i] = float32((1-z)*r.end(f[1], fromX[2*h+i]+s) + z*float64(state[i]))
		}
	}
}
