package learn_test

import (
	"context"
	"fmt"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
)

// A model is its ONNX file: what Fit returns can be stored, loaded and asked again.
func ExampleFit() {
	train := assay.Frame{
		{Name: "hours", Type: assay.TypeNumber, Floats: []float64{1, 2, 3, 4, 5, 6}},
		{Name: "shift", Type: assay.TypeString, Codes: []int32{0, 1, 0, 1, 0, 1}, Levels: []string{"day", "night"}},
	}
	model, err := learn.Fit(context.Background(), learn.Spec{
		Learner: "logistic_regression",
		Task:    assay.Binary,
		Target:  learn.Target{Name: "late", Type: assay.TypeString, Classes: []string{"no", "yes"}},
	}, learn.Data{X: train, Labels: []int32{0, 0, 0, 1, 1, 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := model.ONNX()
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := learn.LoadONNX(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := program.Predict(train.Take([]int{0, 5}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, label := range p.Labels {
		fmt.Printf("%s %.2f\n", p.Classes[label], p.Proba[2*i+1])
	}
	// Output:
	// no 0.13
	// yes 0.87
}
