package learn

import (
	"fmt"
	"math"
)

func networkOperators() []operator {
	return []operator{
		{name: "Conv", least: 2, most: 3, compile: compileConv},
		{name: "MaxPool", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) { return compilePool(c, true) }},
		{name: "AveragePool", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) { return compilePool(c, false) }},
		{name: "GlobalMaxPool", least: 1, most: 1, compile: func(*nodeContext) (kernel, error) { return globalPool(true), nil }},
		{name: "GlobalAveragePool", least: 1, most: 1, compile: func(*nodeContext) (kernel, error) { return globalPool(false), nil }},
		{name: "BatchNormalization", least: 5, most: 5, compile: compileBatchNorm},
		{name: "InstanceNormalization", least: 3, most: 3, compile: compileInstanceNorm},
		{name: "LayerNormalization", least: 2, most: 3, compile: compileLayerNorm},
		{name: "Dropout", least: 1, most: 3, compile: compileDropout},
	}
}

// A window is how Conv and the pools move over one or two spatial axes; of one axis, the first is of size 1.
type window struct {
	kernel, strides, dilations [2]int
	before, after              [2]int // padding
	auto                       string
	ceil                       bool
}

// maxWindow bounds sizes, steps and padding of a window.
const maxWindow = 1 << 20

// windowAttributes is what a node says of its window.
type windowAttributes struct {
	strides, dilations, pads []int64
	auto                     string
}

func readWindow(c *nodeContext) windowAttributes {
	return windowAttributes{strides: c.ints("strides"), dilations: c.ints("dilations"), pads: c.ints("pads"), auto: c.string("auto_pad", "NOTSET")}
}

// window returns the window of a kernel of that shape.
func (a *windowAttributes) window(kernel []int64) (window, error) {
	w := window{kernel: [2]int{1, 1}, strides: [2]int{1, 1}, dilations: [2]int{1, 1}, auto: a.auto}
	axes := len(kernel)
	if axes < 1 || axes > 2 {
		return w, fmt.Errorf("%d spatial axes are not supported", axes)
	}
	if len(a.pads) != 0 && len(a.pads) != 2*axes {
		return w, fmt.Errorf("%d pads for %d axes", len(a.pads), axes)
	}
	half := len(a.pads) / 2
	for _, s := range []struct {
		name  string
		to    *[2]int
		v     []int64
		least int64
	}{
		{"kernel_shape", &w.kernel, kernel, 1},
		{"strides", &w.strides, a.strides, 1},
		{"dilations", &w.dilations, a.dilations, 1},
		{"pads", &w.before, a.pads[:half], 0},
		{"pads", &w.after, a.pads[half:], 0},
	} {
		if len(s.v) != 0 && len(s.v) != axes {
			return w, fmt.Errorf("%s has %d sizes for %d axes", s.name, len(s.v), axes)
		}
		for i, d := range s.v {
			if d < s.least || d > maxWindow {
				return w, fmt.Errorf("%s is %d", s.name, d)
			}
			s.to[2-axes+i] = int(d)
		}
	}
	switch w.auto {
	case "", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER":
		return w, nil
	}
	return w, fmt.Errorf("auto_pad %q is not known", w.auto)
}

// place returns the size of the output and the padding before it along one axis.
func (w *window) place(axis, size int) (out, before int, err error) {
	reach := w.dilations[axis]*(w.kernel[axis]-1) + 1
	step := w.strides[axis]
	before, after := w.before[axis], w.after[axis]
	switch w.auto {
	case "SAME_UPPER", "SAME_LOWER":
		out = (size + step - 1) / step
		pad := max((out-1)*step+reach-size, 0)
		before = pad / 2
		if w.auto == "SAME_LOWER" {
			before = pad - pad/2
		}
		return out, before, nil
	case "VALID":
		before, after = 0, 0
	}
	span := size + before + after - reach
	if span < 0 {
		return 0, 0, fmt.Errorf("a window of %d does not fit an axis of %d with its padding", reach, size)
	}
	out = span/step + 1
	if w.ceil && span%step != 0 && out*step < size+before { // a window must start inside the input or the padding before it
		out++
	}
	return out, before, nil
}

// planes splits a shape [n, channels, spatial...] into its parts; one spatial axis counts as a row.
func planes(shape []int, axes int) (n, channels, h, w int, err error) {
	if len(shape) != axes+2 {
		return 0, 0, 0, 0, fmt.Errorf("shape %s does not have %d spatial axes", shapeString(shape), axes)
	}
	n, channels, h, w = shape[0], shape[1], 1, shape[len(shape)-1]
	if axes == 2 {
		h = shape[2]
	}
	return n, channels, h, w, nil
}

func compileConv(c *nodeContext) (kernel, error) {
	kernelShape, attrs := c.ints("kernel_shape"), readWindow(c)
	if w := c.constants[1]; kernelShape == nil && w != nil && len(w.Shape) > 2 {
		for _, d := range w.Shape[2:] {
			kernelShape = append(kernelShape, int64(d))
		}
	}
	if kernelShape != nil {
		if _, err := attrs.window(kernelShape); err != nil {
			return nil, err
		}
	}
	group := int(c.int("group", 1))
	if group < 1 || group > maxWindow {
		return nil, fmt.Errorf("group is %d", group)
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		x, w := in[0], in[1]
		size := kernelShape
		if size == nil {
			if len(w.Shape) < 3 {
				return nil, fmt.Errorf("weights of shape %s", shapeString(w.Shape))
			}
			for _, d := range w.Shape[2:] {
				size = append(size, int64(d))
			}
		}
		axes := len(size)
		win, err := attrs.window(size)
		if err != nil {
			return nil, err
		}
		n, channels, h, wide, err := planes(x.Shape, axes)
		if err != nil {
			return nil, err
		}
		filters, per, kh, kw, err := planes(w.Shape, axes)
		if err != nil {
			return nil, err
		}
		if x.Type != Float32 || w.Type != Float32 || kh != win.kernel[0] || kw != win.kernel[1] || channels != per*group || filters%group != 0 {
			return nil, fmt.Errorf("weights of shape %s in %d groups do not fit an input of shape %s", shapeString(w.Shape), group, shapeString(x.Shape))
		}
		oh, top, err := win.place(0, h)
		if err != nil {
			return nil, err
		}
		ow, left, err := win.place(1, wide)
		if err != nil {
			return nil, err
		}
		shape := m.shape(n, filters)
		if axes == 2 {
			shape = append(shape, oh)
		}
		out, err := m.tensor(Float32, append(shape, ow)...)
		if err != nil {
			return nil, err
		}
		var bias []float32
		if len(in) > 2 && in[2] != nil {
			if bias = in[2].Floats; len(bias) != filters {
				return nil, fmt.Errorf("%d biases for %d filters", len(bias), filters)
			}
		}
		for i := range n {
			for f := range filters {
				to := out.Floats[(i*filters+f)*oh*ow:][:oh*ow]
				if bias != nil {
					for j := range to {
						to[j] = bias[f]
					}
				}
				for k := range per {
					plane := x.Floats[(i*channels+f/(filters/group)*per+k)*h*wide:][:h*wide]
					win.convolve(to, oh, ow, plane, h, wide, top, left, w.Floats[(f*per+k)*kh*kw:][:kh*kw])
				}
			}
		}
		return m.list(out), nil
	}, nil
}

// convolve adds one plane under one filter to the output, weight by weight, so that the inner loop runs along a row.
func (w *window) convolve(out []float32, oh, ow int, x []float32, h, wide, top, left int, weights []float32) {
	for a := range w.kernel[0] {
		for b := range w.kernel[1] {
			weight := weights[a*w.kernel[1]+b]
			dx := b*w.dilations[1] - left
			for i := range oh {
				r := i*w.strides[0] + a*w.dilations[0] - top
				if r < 0 || r >= h {
					continue
				}
				row, to := x[r*wide:(r+1)*wide], out[i*ow:(i+1)*ow]
				for j := range to {
					if at := j*w.strides[1] + dx; at >= 0 && at < wide {
						to[j] += weight * row[at]
					}
				}
			}
		}
	}
}

func compilePool(c *nodeContext, largest bool) (kernel, error) {
	kernelShape := c.ints("kernel_shape")
	attrs := readWindow(c)
	win, err := attrs.window(kernelShape)
	if err != nil {
		return nil, err
	}
	win.ceil = c.int("ceil_mode", 0) != 0
	switch win.auto {
	case "SAME_UPPER", "SAME_LOWER": // all that such a window has beyond the input is padding
		win.after = [2]int{maxWindow, maxWindow}
	case "VALID":
		win.before, win.after = [2]int{}, [2]int{}
	}
	all := !largest && c.int("count_include_pad", 0) != 0
	if largest && c.int("storage_order", 0) != 0 || len(c.node.outputs) > 1 && c.node.outputs[1] != "" {
		return nil, fmt.Errorf("the indices of the largest elements are not supported")
	}
	axes := len(kernelShape)
	return unary(func(m *memory, x *Tensor) (*Tensor, error) {
		n, channels, h, wide, err := planes(x.Shape, axes)
		if err != nil {
			return nil, err
		}
		if x.Type != Float32 {
			return nil, fmt.Errorf("%s tensor where floats are needed", x.Type)
		}
		oh, top, err := win.place(0, h)
		if err != nil {
			return nil, err
		}
		ow, left, err := win.place(1, wide)
		if err != nil {
			return nil, err
		}
		shape := m.shape(n, channels)
		if axes == 2 {
			shape = append(shape, oh)
		}
		out, err := m.tensor(Float32, append(shape, ow)...)
		if err != nil {
			return nil, err
		}
		for p := range n * channels {
			plane, to := x.Floats[p*h*wide:(p+1)*h*wide], out.Floats[p*oh*ow:(p+1)*oh*ow]
			for i := range oh {
				for j := range ow {
					to[i*ow+j] = win.pool(plane, h, wide, i*win.strides[0]-top, j*win.strides[1]-left, largest, all)
				}
			}
		}
		return out, nil
	}), nil
}

// pool answers for the window that starts at (r, c). With all, an average counts the padding but not what lies beyond it.
func (w *window) pool(x []float32, h, wide, r, c int, largest, all bool) float32 {
	best, sum, count := float32(math.Inf(-1)), float32(0), 0
	for a := range w.kernel[0] {
		i := r + a*w.dilations[0]
		for b := range w.kernel[1] {
			j := c + b*w.dilations[1]
			if i < 0 || j < 0 || i >= h || j >= wide {
				if all && i < h+w.after[0] && j < wide+w.after[1] {
					count++
				}
				continue
			}
			v := x[i*wide+j]
			best = max(best, v)
			sum += v
			count++
		}
	}
	if largest {
		return best
	}
	return sum / float32(max(count, 1))
}

func globalPool(largest bool) kernel {
	return unary(func(m *memory, x *Tensor) (*Tensor, error) {
		if x.Type != Float32 || len(x.Shape) < 3 {
			return nil, fmt.Errorf("%s tensor of shape %s", x.Type, shapeString(x.Shape))
		}
		shape := m.shape(x.Shape...)
		size := 1
		for i := 2; i < len(shape); i++ {
			size *= shape[i]
			shape[i] = 1
		}
		out, err := m.tensor(Float32, shape...)
		if err != nil || size == 0 {
			return out, err
		}
		for p := range out.Floats {
			plane := x.Floats[p*size : (p+1)*size]
			best, sum := plane[0], 0.0
			for _, v := range plane {
				best = max(best, v)
				sum += float64(v)
			}
			if out.Floats[p] = float32(sum / float64(size)); largest {
				out.Floats[p] = best
			}
		}
		return out, nil
	})
}

// vectors reads inputs that must be float vectors of n elements.
func vectors(n int, in ...*Tensor) error {
	for _, t := range in {
		if t != nil && (t.Type != Float32 || len(t.Floats) != n) {
			return fmt.Errorf("%s tensor of shape %s where %d floats are needed", t.Type, shapeString(t.Shape), n)
		}
	}
	return nil
}

func compileBatchNorm(c *nodeContext) (kernel, error) {
	epsilon := float64(c.float("epsilon", 1e-5))
	c.float("momentum", 0.9) // is for training
	c.int("is_test", 0)
	c.ints("consumed_inputs")
	if c.int("training_mode", 0) != 0 || c.int("spatial", 1) != 1 {
		return nil, fmt.Errorf("training_mode and spatial 0 are not supported")
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		x := in[0]
		if x.Type != Float32 || len(x.Shape) < 2 {
			return nil, fmt.Errorf("%s tensor of shape %s", x.Type, shapeString(x.Shape))
		}
		channels := x.Shape[1]
		if err := vectors(channels, in[1:]...); err != nil {
			return nil, err
		}
		out, err := m.tensor(Float32, x.Shape...)
		if err != nil || out.Len() == 0 {
			return m.list(out), err
		}
		size := out.Len() / x.Shape[0] / channels
		for p := range x.Shape[0] * channels {
			k := p % channels
			factor := float64(in[1].Floats[k]) / math.Sqrt(float64(in[4].Floats[k])+epsilon)
			scale, offset := float32(factor), float32(float64(in[2].Floats[k])-float64(in[3].Floats[k])*factor)
			for i := p * size; i < (p+1)*size; i++ {
				out.Floats[i] = x.Floats[i]*scale + offset
			}
		}
		return m.list(out), nil
	}, nil
}

// normalRow gives numbers mean 0 and deviation 1.
func normalRow(out, x []float32, epsilon float64) {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		d := float64(v) - mean
		square += d * d
	}
	by := 1 / math.Sqrt(square/float64(len(x))+epsilon)
	for i, v := range x {
		out[i] = float32((float64(v) - mean) * by)
	}
}

func compileInstanceNorm(c *nodeContext) (kernel, error) {
	epsilon := float64(c.float("epsilon", 1e-5))
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		x := in[0]
		if x.Type != Float32 || len(x.Shape) < 3 {
			return nil, fmt.Errorf("%s tensor of shape %s", x.Type, shapeString(x.Shape))
		}
		channels := x.Shape[1]
		if err := vectors(channels, in[1], in[2]); err != nil {
			return nil, err
		}
		out, err := m.tensor(Float32, x.Shape...)
		if err != nil || out.Len() == 0 {
			return m.list(out), err
		}
		size := out.Len() / x.Shape[0] / channels
		for p := range x.Shape[0] * channels {
			row := out.Floats[p*size : (p+1)*size]
			normalRow(row, x.Floats[p*size:(p+1)*size], epsilon)
			for i := range row {
				row[i] = row[i]*in[1].Floats[p%channels] + in[2].Floats[p%channels]
			}
		}
		return m.list(out), nil
	}, nil
}

func compileLayerNorm(c *nodeContext) (kernel, error) {
	epsilon, axisAttr := float64(c.float("epsilon", 1e-5)), c.int("axis", -1)
	c.int("stash_type", 1)
	for _, name := range c.node.outputs[min(1, len(c.node.outputs)):] {
		if name != "" {
			return nil, fmt.Errorf("the outputs Mean and InvStdDev are not supported")
		}
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		x := in[0]
		axis, err := axisOf(axisAttr, len(x.Shape))
		if err != nil {
			return nil, err
		}
		size := 1
		for _, d := range x.Shape[axis:] {
			size *= d
		}
		if x.Type != Float32 {
			return nil, fmt.Errorf("%s tensor where floats are needed", x.Type)
		}
		if err := vectors(size, in[1:]...); err != nil {
			return nil, err
		}
		out, err := m.tensor(Float32, x.Shape...)
		if err != nil || out.Len() == 0 {
			return m.list(out), err
		}
		for p := range out.Len() / size {
			row := out.Floats[p*size : (p+1)*size]
			normalRow(row, x.Floats[p*size:(p+1)*size], epsilon)
			for i := range row {
				row[i] *= in[1].Floats[i]
				if len(in) > 2 && in[2] != nil {
					row[i] += in[2].Floats[i]
				}
			}
		}
		return m.list(out), nil
	}, nil
}

// compileDropout hands its input on: dropping is for training.
func compileDropout(c *nodeContext) (kernel, error) {
	c.float("ratio", 0.5)
	c.int("seed", 0)
	c.int("is_test", 0)
	if len(c.node.inputs) > 2 && c.node.inputs[2] != "" && (c.constants[2] == nil || len(c.constants[2].Ints) != 1 || c.constants[2].Ints[0] != 0) {
		return nil, fmt.Errorf("training mode is not supported")
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		mask, err := m.tensor(Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		for i := range mask.Ints {
			mask.Ints[i] = 1
		}
		return m.list(in[0], mask), nil
	}, nil
}
