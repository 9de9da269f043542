package cli

import (
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// TestLogVoice: failures of the log are told when they begin, and at most once a minute while they go on.
func TestLogVoice(t *testing.T) {
	var v logVoice
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, x := range []struct {
		after    time.Duration
		failures int64
		want     string
	}{
		{0, 0, ""},
		{0, 1, "the disk is full; 1,500 rows are not in it since this server began"},
		{time.Second, 2, ""},
		{voiceEvery, 2, "the disk is full; 1,500 rows are not in it since this server began"},
		{3 * voiceEvery, 2, ""},
		{3*voiceEvery + time.Second, 3, "the disk is full; 1,500 rows are not in it since this server began"},
	} {
		got := v.look(at.Add(x.after), func() (int64, int64, string) { return 7, x.failures, "the disk is full" },
			func() []serve.Tally { return []serve.Tally{{Lost: 500}, {Lost: 1000}} })
		if got != x.want {
			t.Errorf("look %d: %q, want %q", i, got, x.want)
		}
	}
}
