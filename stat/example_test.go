package stat_test

import (
	"context"
	"fmt"

	"github.com/assay-ml/assay/stat"
)

// The weights of a replicate are shared by every score and every slice, so that differences between them are paired.
func ExampleRanking() {
	y, score := binormal(2000)
	baseline, slice := make([]float64, len(y)), make([]bool, len(y))
	for i := range y {
		baseline[i], slice[i] = float64(i%7)+score[i], i%3 == 0
	}
	model, err := stat.NewRanking(y, score)
	if err != nil {
		panic(err)
	}
	other, err := stat.NewRanking(y, baseline)
	if err != nil {
		panic(err)
	}
	sub := model.Subset(slice)
	statistics := func(counts []uint8, out []float64) {
		out[0] = model.AUC(counts)
		out[1] = sub.AUC(counts)
		out[2] = out[0] - other.AUC(counts)
	}
	replicates, err := stat.Resampler{Seed: 42, Replicates: 500}.Run(context.Background(), len(y), 3, func() stat.Evaluator { return statistics })
	if err != nil {
		panic(err)
	}
	value := make([]float64, 3)
	statistics(nil, value)
	for i, what := range []string{"all rows", "slice", "over baseline"} {
		fmt.Println(what, stat.Resampled{Value: value[i], Replicates: replicates[i]}.Estimate(0.95, stat.Percentile))
	}
	// Output:
	// all rows 0.757 [0.732, 0.783]
	// slice 0.756 [0.714, 0.805]
	// over baseline 0.138 [0.106, 0.172]
}

func ExampleStratifiedKFold() {
	y := []int{0, 0, 0, 0, 1, 1, 1, 1, 0, 0}
	folds, err := stat.StratifiedKFold{Splits: 2, Shuffle: true, Seed: 7}.Split(y)
	if err != nil {
		panic(err)
	}
	for _, f := range folds {
		fmt.Println(f.Test)
	}
	// Output:
	// [2 3 5 6 8]
	// [0 1 4 7 9]
}
