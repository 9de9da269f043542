package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
)

func (a *app) aliasCommand() *cobra.Command {
	var remove bool
	expect := -1
	c := &cobra.Command{
		Use: "alias NAME ALIAS [VERSION]", Short: "Point an alias of a model at a version, or take it away with --remove",
		Args: cobra.RangeArgs(2, 3),
		RunE: a.withStore("model", func(ctx context.Context, s *session, args []string) error {
			if remove == (len(args) == 3) {
				return assay.Errorf(assay.Invalid, "want a version or --remove, one of them").Try("assay model alias %s %s 1", args[0], args[1])
			}
			m := store.AliasMove{Name: args[0], Alias: args[1], Context: s.circumstances()}
			switch {
			case expect == noExpectation:
			case expect < 0:
				return assay.Errorf(assay.Invalid, "--expect %d is no version", expect).Try("--expect 0, only when the alias points at none")
			default:
				m.Expect = &expect
			}
			if !remove {
				ref := args[2]
				if strings.Trim(ref, "0123456789") == "" {
					ref = args[0] + ":" + ref
				}
				v, err := s.version(ctx, ref)
				if err != nil {
					return err
				}
				if v.Name != args[0] {
					return assay.Errorf(assay.Invalid, "%s is no version of %s", versionName(v), args[0]).Try("assay model list")
				}
				m.Number = v.Number
			}
			if err := s.st.SetAlias(ctx, m); err != nil {
				return err
			}
			return s.print("assay.alias/1", map[string]any{"name": m.Name, "alias": m.Alias, "version": m.Number}, func(w io.Writer) {
				if remove {
					fmt.Fprintf(w, "%s@%s is gone\n", m.Name, m.Alias)
				} else {
					fmt.Fprintf(w, "%s@%s is %s:%d\n", m.Name, m.Alias, m.Name, m.Number)
				}
			})
		}),
	}
	c.Flags().BoolVar(&remove, "remove", false, "take the alias away")
	c.Flags().IntVar(&expect, "expect", noExpectation, "only when it points at this version `number` now; 0 means at none")
	return c
}

// noExpectation is --expect when it is not given.
const noExpectation = -1

func (a *app) tagCommand() *cobra.Command {
	var remove []string
	c := &cobra.Command{
		Use: "tag VERSION [KEY=VALUE]...", Short: "Set tags of a version, or take them away with --remove KEY",
		Args: cobra.MinimumNArgs(1),
		RunE: a.withStore("model", func(ctx context.Context, s *session, args []string) error {
			set := map[string]string{}
			var bad assay.Problems
			for _, x := range args[1:] {
				k, v, ok := strings.Cut(x, "=")
				if !ok || k == "" {
					bad.Add("%q is not KEY=VALUE", x)
					continue
				}
				if _, twice := set[k]; twice {
					bad.Add("tag %q is given twice", k)
				}
				set[k] = v
			}
			if len(args) == 1 && len(remove) == 0 {
				bad.Add("neither KEY=VALUE nor --remove is given")
			}
			if err := bad.Err(assay.Invalid, "the tags cannot be set"); err != nil {
				return assay.Errorf(assay.Invalid, "%w", err).Try("assay model tag VERSION KEY=VALUE")
			}
			v, err := s.version(ctx, args[0])
			if err != nil {
				return err
			}
			if err := s.st.SetTags(ctx, v.Name, v.Number, set, remove...); err != nil {
				return err
			}
			if v, err = s.st.Version(ctx, v.Name, v.Number); err != nil {
				return err
			}
			return s.print("assay.version/1", v, func(w io.Writer) {
				fmt.Fprintf(w, "%s has %d tags\n", versionName(v), len(v.Tags))
			})
		}),
	}
	c.Flags().StringArrayVar(&remove, "remove", nil, "take the tag with this `key` away")
	return c
}
