package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/gate"
	"github.com/assay-ml/assay/internal/store"
)

func (a *app) gateCommand() *cobra.Command {
	c := &cobra.Command{Use: "gate", Short: "Look at the policy and at what it says of a version: explain, show, test"}
	var to string
	explain := &cobra.Command{
		Use: "explain [VERSION]", Short: "Judge a version rule by rule, moving nothing",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("gate", func(ctx context.Context, s *session, args []string) error {
			stage, err := stageFlag("to", to)
			if err != nil {
				return err
			}
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			_, j, _, err := s.judge(ctx, v, stage)
			if err != nil {
				return err
			}
			if err := s.print("assay.gate/1", j, func(w io.Writer) { printJudgement(w, versionName(v), j, true) }); err != nil {
				return err
			}
			return answer(j.Verdict)
		}),
	}
	explain.Flags().StringVar(&to, "to", "staging", "staging or production")
	show := &cobra.Command{
		Use: "show", Short: "Print the built-in policy, to start one's own from",
		RunE: func(*cobra.Command, []string) error {
			return a.print("assay.policy/1", map[string]any{"digest": gate.Default().Digest(), "source": string(gate.DefaultSource())}, func(w io.Writer) {
				_, _ = w.Write(gate.DefaultSource())
			})
		},
	}
	test := &cobra.Command{
		Use: "test POLICY", Short: "Check a policy file: syntax, rules, stages; with examples when the file POLICY.test.yaml is there",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			src, err := os.ReadFile(a.path(args[0]))
			if err != nil {
				return assay.Errorf(assay.NotFound, "no policy file %s", args[0]).Try("assay gate show > %s", args[0])
			}
			p, err := gate.Parse(src)
			if err != nil {
				return err
			}
			results, err := gate.Test(p, a.path(args[0]))
			if err != nil {
				return err
			}
			if len(results) == 0 {
				a.say("No examples: %s is not there.", a.shown(gate.ExamplesFile(a.path(args[0]))))
			}
			failed := 0
			for _, r := range results {
				if !r.OK {
					failed++
				}
			}
			if err := a.print("assay.gate.test/1", map[string]any{"policy": p.Digest(), "examples": results}, func(w io.Writer) {
				fmt.Fprintf(w, "policy %s, %d rules, digest %s\n", p.Name, len(p.Rules), p.Digest().Short())
				for _, r := range results {
					mark := "●"
					if !r.OK {
						mark = "✕"
					}
					fmt.Fprintf(w, "  %s %s: %s\n", mark, r.Name, r.Message)
				}
			}); err != nil {
				return err
			}
			if failed > 0 {
				return errAnswerNo
			}
			return nil
		},
	}
	c.AddCommand(explain, show, test)
	return c
}

// policyName is the name of the policy that a judgement applies, with its digest where it is not the built-in one as it is now.
func policyName(j assay.Judgement) string {
	if j.Policy == gate.Default().Digest() {
		return j.Name
	}
	return j.Name + " (" + j.Policy.Short() + ")"
}

// promotedUnder names the policy that let a promotion pass, with its digest; empty for the built-in one.
func (s *session) promotedUnder(ctx context.Context, e store.Event, builtIn assay.Digest) (string, error) {
	r, err := s.st.Get(ctx, e.Entry.Evidence)
	if err != nil {
		return "", err
	}
	p, err := assay.Decode[assay.Promotion](r.Evidence)
	if err != nil {
		return "", err
	}
	if r, err = s.st.Get(ctx, p.Verdict); err != nil {
		return "", err
	}
	j, err := assay.Decode[assay.Judgement](r.Evidence)
	if err != nil || j.Policy == builtIn {
		return "", err
	}
	return "under policy " + policyName(j), nil
}

func (a *app) waiveCommand() *cobra.Command {
	var by, reason, to string
	c := &cobra.Command{
		Use: "waive RULE [VERSION]", Short: "Answer for one rule of the gate by name and reason; it is printed on the card",
		Args: cobra.RangeArgs(1, 2),
		RunE: a.with("waive", func(ctx context.Context, s *session, args []string) error {
			stage, err := stageFlag("to", to)
			if err != nil {
				return err
			}
			var bad assay.Problems
			if strings.TrimSpace(by) == "" {
				bad.Add("--by is empty: a waiver needs a name")
			}
			if len(strings.TrimSpace(reason)) < 10 {
				bad.Add("--reason is shorter than 10 characters: a waiver needs a reason")
			}
			p, err := s.policy()
			if err != nil {
				return err
			}
			known := false
			var ids []string
			for _, r := range p.Rules {
				ids = append(ids, r.ID)
				known = known || r.ID == args[0]
			}
			if !known {
				bad.Add("rule %q is not in policy %s%s", args[0], p.Name, didYouMean(args[0], ids))
			}
			if err := bad.Err(assay.Invalid, "cannot waive"); err != nil {
				return assay.Errorf(assay.Invalid, "%w", err).Try("assay waive RULE --to production --by NAME --reason TEXT")
			}
			v, err := s.version(ctx, first(args[1:]))
			if err != nil {
				return err
			}
			r, err := s.write(ctx, assay.KindWaiver, v.Model, []assay.Digest{v.Evidence}, assay.Waiver{Name: v.Name, Version: v.Number, Rule: args[0], Stage: stage, By: strings.TrimSpace(by), Reason: strings.TrimSpace(reason), Policy: p.Digest()})
			if err != nil {
				return err
			}
			return s.print("assay.waiver/1", map[string]any{"evidence": r.ID}, func(w io.Writer) {
				fmt.Fprintf(w, "%s answers for rule %s of %s in %s; evidence %s\nwrite the card again: it names the waiver\n", one(by), args[0], versionName(v), stage, r.ID.Short())
			})
		}),
	}
	c.Flags().StringVar(&by, "by", "", "`name` of the person who answers for it")
	c.Flags().StringVar(&reason, "reason", "", "why the rule does not matter here")
	c.Flags().StringVar(&to, "to", "", "the stage: staging or production")
	return c
}
