package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/table"
)

// logGaps are what is missing in a log.
type logGaps struct {
	Lost     int64           `json:"lost"`     // rows
	Unclosed int64           `json:"unclosed"` // segments whose process was killed: rows of just before that may be missing, and are not in lost
	Segments []serve.Missing `json:"segments"` // those of which something is missing, by name
}

// gapsOf reads what a log says that is missing in it.
func gapsOf(ctx context.Context, log *table.Table) (logGaps, error) {
	out := logGaps{Segments: []serve.Missing{}}
	r, err := log.Query(ctx, "SELECT coalesce(_violations, ''), coalesce(sum(_lost), 0)::BIGINT, count(*) FILTER (_lost = 0), count(*) FROM "+log.Relation()+" WHERE _outcome = 'lost' GROUP BY 1 ORDER BY 1")
	if err != nil {
		return out, err
	}
	defer r.Close()
	for r.Next() {
		var what string
		var lost, unclosed, lines int64
		if err := r.Scan(&what, &lost, &unclosed, &lines); err != nil {
			return out, err
		}
		out.Lost += lost
		out.Unclosed += unclosed
		m, ok := serve.ParseMissing(what)
		if !ok {
			continue // rows that never came to a segment, or the words of an earlier version
		}
		at, have := slices.BinarySearchFunc(out.Segments, m, func(a, b serve.Missing) int {
			return cmp.Or(strings.Compare(a.Segment, b.Segment), strings.Compare(a.What, b.What))
		})
		if !have {
			out.Segments = slices.Insert(out.Segments, at, serve.Missing{Segment: m.Segment, What: m.What})
		}
		out.Segments[at].Rows += lost
		out.Segments[at].Bytes += m.Bytes * lines // lines of one length that cannot be read are one group
	}
	return out, r.Close()
}

// maxGapsTold is how many segments are named for people; all of them are in the JSON.
const maxGapsTold = 10

// print tells people which segments lack something; what goes before each line.
func (g logGaps) print(w io.Writer, what string) {
	if g.Unclosed > 0 {
		fmt.Fprintf(w, "%s%s of the segments ended without being closed, as after kill -9: rows of up to %d ms may be missing at each end, and are not among the lost.\n",
			what, assay.FormatCount(g.Unclosed), serve.DefaultLogFlush.Milliseconds())
	}
	for i, m := range g.Segments {
		if i == maxGapsTold {
			fmt.Fprintf(w, "%sand %s more. Try: --json\n", what, assay.FormatCount(int64(len(g.Segments)-i)))
			return
		}
		bytes := assay.FormatCount(m.Bytes)
		switch m.What {
		case serve.Unclosed:
			fmt.Fprintf(w, "%s%s was not closed", what, m.Segment)
			if m.Bytes > 0 {
				fmt.Fprintf(w, "; %s bytes of its end were torn", bytes)
			}
			fmt.Fprintln(w)
		case serve.Damaged:
			fmt.Fprintf(w, "%s%s is damaged: %s bytes of it are no records, and count as %s lost rows, for at least so many\n", what, m.Segment, bytes, assay.FormatCount(m.Rows))
		case serve.Unreadable:
			fmt.Fprintf(w, "%s%s has lines that cannot be read: %s, of %s bytes, and as many lost rows\n", what, m.Segment, assay.FormatCount(m.Rows), bytes)
		}
	}
}
