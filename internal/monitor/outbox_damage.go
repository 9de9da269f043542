package monitor

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// damagedFolder keeps what was to be sent and holds no message, for somebody to look at, as long as settled messages are kept.
const damagedFolder = "damaged"

// A Damage is a file of an outbox that holds no message.
type Damage struct {
	File    string `json:"file"`    // in the outbox
	Rebuilt bool   `json:"rebuilt"` // its message is there again, or was settled before
}

// SetAside moves files that hold no message out of the way of those that do, and names them. What they told is put anew by who knows it: see Put.
func (o *Outbox) SetAside() ([]string, error) {
	if err := o.recover(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(o.dir, "queue"))
	if err != nil {
		return nil, o.fault("cannot be read", err)
	}
	var out []string
	for _, e := range entries {
		from := filepath.Join(o.dir, "queue", e.Name())
		if b, err := os.ReadFile(from); err == nil {
			if m, err := ReadMessage(b); err == nil && e.Name() == m.ID+".json" {
				continue
			}
		} else if !errors.Is(err, syscall.EISDIR) {
			continue // it has moved since, or may be read another time
		}
		err := os.Rename(from, filepath.Join(o.dir, damagedFolder, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process was faster
		}
		if err != nil {
			return out, o.fault("cannot be changed", err)
		}
		out = append(out, path.Join(damagedFolder, e.Name()))
	}
	return out, nil
}

// Damaged are the files of the outbox that hold no message, those that were set aside too.
func (o *Outbox) Damaged() ([]Damage, error) {
	out, err := o.aside()
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"queue", "busy", "sent", "dead"} {
		entries, err := os.ReadDir(filepath.Join(o.dir, sub))
		if err != nil {
			return nil, o.fault("cannot be read", err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(o.dir, sub, e.Name()))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				_, err = ReadMessage(b)
			}
			if err != nil {
				out = append(out, Damage{File: path.Join(sub, e.Name())})
			}
		}
	}
	return out, nil
}

func (o *Outbox) aside() ([]Damage, error) {
	entries, err := os.ReadDir(filepath.Join(o.dir, damagedFolder))
	if err != nil {
		return nil, o.fault("cannot be read", err)
	}
	out := []Damage{}
	for _, e := range entries {
		d := Damage{File: path.Join(damagedFolder, e.Name())}
		if id := strings.TrimSuffix(e.Name(), ".json"); validID(id) {
			_, sub, err := o.Find(id)
			if err != nil {
				return nil, err
			}
			d.Rebuilt = sub != ""
		}
		out = append(out, d)
	}
	return out, nil
}
