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

// A recurrent is an LSTM (4 gates), a GRU (3) or a plain RNN (1) with the activations that are the default, or Relu for a plain one.
type recurrent struct {
	gates, hidden, directions int
	backwards                 bool // the first direction
	batchFirst                bool
	linearBeforeReset         bool
	relu                      []bool // by direction
}

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
	if gates == 4 && c.int("input_forget", 0) != 0 || c.float("clip", 0) != 0 {
		return nil, fmt.Errorf("clip and input_forget are not supported")
	}
	usual := map[int][]string{4: {"Sigmoid", "Tanh", "Tanh"}, 3: {"Sigmoid", "Tanh"}, 1: {"Tanh"}}[gates]
	r.relu = make([]bool, r.directions)
	for i, a := range c.strings("activations") {
		switch {
		case gates == 1 && i < r.directions && strings.EqualFold(a, "Relu"):
			r.relu[i] = true
		case i >= len(usual)*r.directions || !strings.EqualFold(a, usual[i%len(usual)]):
			return nil, fmt.Errorf("activation %q is not supported", a)
		}
	}
	if r.hidden < 1 || r.hidden > 1<<20 {
		return nil, fmt.Errorf("hidden_size is %d", r.hidden)
	}
	if len(c.node.inputs) > 7 && c.node.inputs[7] != "" {
		return nil, fmt.Errorf("peepholes are not supported")
	}
	return r.run, nil
}

func optional(in []*Tensor, i int) *Tensor {
	if i < len(in) {
		return in[i]
	}
	return nil
}

func (r *recurrent) run(m *memory, in []*Tensor) ([]*Tensor, error) {
	x := in[0]
	if r.batchFirst {
		return nil, fmt.Errorf("layout 1 is not supported")
	}
	if len(x.Shape) != 3 {
		return nil, fmt.Errorf("input of shape %s is not [steps, rows, features]", shapeString(x.Shape))
	}
	steps, rows, features := x.Shape[0], x.Shape[1], x.Shape[2]
	g, h, d := r.gates, r.hidden, r.directions
	for i, n := range map[int]int{0: steps * rows * features, 1: d * g * h * features, 2: d * g * h * h, 3: d * 2 * g * h, 5: d * rows * h, 6: d * rows * h} {
		if t := optional(in, i); t != nil && (t.Type != Float32 || len(t.Floats) != n) {
			return nil, fmt.Errorf("input %d is a %s tensor of shape %s, %d floats are needed", i, t.Type, shapeString(t.Shape), n)
		}
	}
	if lengths := optional(in, 4); lengths != nil {
		for _, v := range lengths.Ints {
			if v != int64(steps) {
				return nil, fmt.Errorf("sequences of different lengths are not supported")
			}
		}
	}
	y, err := m.tensor(Float32, steps, d, rows, h)
	if err != nil {
		return nil, err
	}
	last, err := m.tensor(Float32, d, rows, h)
	if err != nil {
		return nil, err
	}
	cell, err := m.tensor(Float32, d, rows, h)
	if err != nil {
		return nil, err
	}
	if t := optional(in, 5); t != nil {
		copy(last.Floats, t.Floats)
	}
	if t := optional(in, 6); t != nil {
		copy(cell.Floats, t.Floats)
	}
	work, err := m.scratch((2*g + 1) * h)
	if err != nil {
		return nil, err
	}
	for dir := range d {
		var bias []float32
		if t := optional(in, 3); t != nil {
			bias = t.Floats[dir*2*g*h : (dir+1)*2*g*h]
		}
		w, rec := in[1].Floats[dir*g*h*features:(dir+1)*g*h*features], in[2].Floats[dir*g*h*h:(dir+1)*g*h*h]
		for step := range steps {
			at := step
			if r.backwards || dir == 1 {
				at = steps - 1 - step
			}
			for row := range rows {
				state := last.Floats[(dir*rows+row)*h:][:h]
				r.step(work, x.Floats[(at*rows+row)*features:][:features], state, cell.Floats[(dir*rows+row)*h:][:h], w, rec, bias, r.relu[dir])
				copy(y.Floats[((at*d+dir)*rows+row)*h:], state)
			}
		}
	}
	if g == 4 {
		return m.list(y, last, cell), nil
	}
	return m.list(y, last), nil
}

// step moves the state of one row by one step. It sums in float64 and rounds the state.
func (r *recurrent) step(work []float64, x, state, cell, w, rec, bias []float32, relu bool) {
	g, h := r.gates, r.hidden
	fromX, fromState := work[:g*h], work[g*h:2*g*h]
	for k := range g * h {
		a, b := 0.0, 0.0
		for i, v := range x {
			a += float64(v) * float64(w[k*len(x)+i])
		}
		for i, v := range state {
			b += float64(v) * float64(rec[k*h+i])
		}
		if bias != nil {
			a += float64(bias[k])
			b += float64(bias[g*h+k])
		}
		fromX[k], fromState[k] = a, b
	}
	gate := func(k, i int) float64 { return logistic(fromX[k*h+i] + fromState[k*h+i]) }
	switch g {
	case 1:
		for i := range h {
			if v := fromX[i] + fromState[i]; relu {
				state[i] = float32(max(v, 0))
			} else {
				state[i] = float32(math.Tanh(v))
			}
		}
	case 4: // input, output, forget, cell
		for i := range h {
			cell[i] = float32(gate(2, i)*float64(cell[i]) + gate(0, i)*math.Tanh(fromX[3*h+i]+fromState[3*h+i]))
			state[i] = float32(gate(1, i) * math.Tanh(float64(cell[i])))
		}
	case 3: // update, reset, hidden
		next := work[2*g*h : 2*g*h+h]
		for i := range h {
			s := fromState[2*h+i]
			if r.linearBeforeReset {
				s *= gate(1, i)
			} else {
				s = 0
				if bias != nil {
					s = float64(bias[g*h+2*h+i])
				}
				for j, v := range state {
					s += gate(1, j) * float64(v) * float64(rec[(2*h+i)*h+j])
				}
			}
			z := gate(0, i)
			next[i] = (1-z)*math.Tanh(fromX[2*h+i]+s) + z*float64(state[i])
		}
		for i := range h {
			state[i] = float32(next[i])
		}
	}
}
