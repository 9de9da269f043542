package serve

import "github.com/assay-ml/assay"

// miss drops the segments whose files are gone: somebody removed or moved the store under the running server. The next call begins another one.
func (l *Log) miss() {
	for _, s := range l.models {
		if s.dirty && !s.there() {
			l.drop(s)
		}
	}
}

// drop gives a segment up whose file is gone: its rows, and those that it said were lost, are lost.
func (l *Log) drop(s *segment) {
	delete(l.models, s.model)
	_ = s.file.Close()
	rows := 0
	for _, p := range append(s.wrote, s.counted...) {
		p.counters.lost.Add(int64(p.rows))
		rows += p.rows
	}
	l.written.Add(-int64(rows - s.pending))
	l.lose(s.model, rows+int(s.told+s.missing))
	l.fail(assay.Errorf(assay.Unavailable, "a segment of the prediction log is gone, as its folder was removed or moved; %s rows were in it", assay.FormatCount(int64(rows))))
	for _, frame := range s.frames {
		l.cross(frame)
	}
}
