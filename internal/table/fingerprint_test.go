package table

import (
	"context"
	"testing"
	"time"
)

func TestContentDigestOfEmployment(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	a := read(t, e, example("train_2015.parquet"), ReadOptions{})
	b := read(t, e, example("train_2015.csv.gz"), ReadOptions{})
	start := time.Now()
	da, err := a.ContentDigest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(start))
	db, err := b.ContentDigest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if da != db {
		t.Errorf("Parquet has %s, CSV has %s", da, db)
	}
}
