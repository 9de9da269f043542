package learn_test

import (
	"context"
	"fmt"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
)

func ExampleFitBoosting() {
	data := learn.BoostData{Features: assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: []float64{1, 2, 3, 4}}}, Target: []float64{0, 0, 1, 1}}
	ensemble, report, err := learn.FitBoosting(context.Background(), data, learn.BoostParams{
		Objective: learn.ObjectiveSquared, Trees: 2, LearningRate: 0.5, MaxLeafNodes: 2, MinSamplesLeaf: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	score := make([]float64, 1)
	ensemble.Score([]float64{3.5}, score)
	fmt.Println(report.Iterations, ensemble.Trees[0].Nodes[0].Threshold, score[0])
	// Output: 2 2.5 0.875
}
