package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/assay-ml/assay"
)

// A textKey names a tag or a description; number is 0 for those of a model.
type textKey struct {
	name   string
	number int
	action string // tag, describe
	detail string // the tag's key
}

// texts holds tags and descriptions against the digests that the journal has of them; a digest is empty where an older build wrote it.
func (f *fsck) texts(ctx context.Context, q queryer, left map[textKey]assay.Digest) error {
	err := each(ctx, q, func(scan func(...any) error) error {
		var k textKey
		var text string
		if err := scan(&k.name, &k.number, &k.action, &k.detail, &text); err != nil {
			return err
		}
		want, told := left[k]
		delete(left, k)
		if !told && text == "" || told && (want == "" || want == assay.DigestOf([]byte(text))) {
			return nil
		}
		f.problem("altered", textWhat(k), "", "%s is not as the history left it", k)
		return nil
	}, `SELECT name, number, 'tag', key, value FROM tags UNION ALL SELECT name, number, 'describe', '', description FROM versions
		UNION ALL SELECT name, 0, 'describe', '', description FROM models ORDER BY 1, 2, 3, 4`)
	for _, k := range slices.SortedFunc(maps.Keys(left), func(a, b textKey) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.number, b.number), cmp.Compare(a.action, b.action), cmp.Compare(a.detail, b.detail))
	}) {
		f.problem("missing", textWhat(k), "", "%s, which the history tells of", k)
	}
	return err
}

func textWhat(k textKey) string {
	switch {
	case k.action == "tag":
		return "tag"
	case k.number == 0:
		return "model"
	}
	return "version"
}

func (k textKey) String() string {
	of := fmt.Sprintf("model %q", k.name)
	if k.number > 0 {
		of = fmt.Sprintf("version %d of %s", k.number, of)
	}
	if k.action == "tag" {
		return fmt.Sprintf("tag %q of %s", k.detail, of)
	}
	return "the description of " + of
}
