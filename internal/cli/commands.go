package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
)

// commands adds the whole tree, in the order of a model's life.
func (a *app) commands(root *cobra.Command) {
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("way", a.initCommand(), a.makeCommand(), a.doneCommand(), a.ciCommand(), a.demoCommand())
	add("life", a.profileCommand(), a.schemaCommand(), a.checkCommand(), a.snapshotCommand(), a.splitCommand(), a.trainCommand(), a.runCommand(), a.reproduceCommand(), a.searchCommand(),
		a.evalCommand(), a.compareCommand(), a.registerCommand(), a.promoteCommand(), a.rollbackCommand(), a.cardCommand(), a.predictCommand(), a.serveCommand(), a.logCommand(), a.labelsCommand(), a.alertCommand(), a.monitorCommand())
	add("proof", a.gateCommand(), a.waiveCommand(), a.evidenceCommand(), a.modelCommand(), a.fsckCommand())
}

// with runs a command inside a session on the project.
func (a *app) with(name string, run func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		s, err := a.open(c.Context(), name)
		if err != nil {
			return err
		}
		return closing(s, run(c.Context(), s, args))
	}
}

// withStore runs a command inside a session that needs no assay.yaml.
func (a *app) withStore(name string, run func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		s, err := a.openStore(c.Context(), name)
		if err != nil {
			return err
		}
		return closing(s, run(c.Context(), s, args))
	}
}

func closing(s *session, err error) error {
	if cerr := s.Close(); err == nil {
		return cerr
	}
	return err
}

// answer turns a verdict into the exit status: pass 0, anything else 3.
func answer(v assay.Verdict) error {
	if v == assay.Pass {
		return nil
	}
	return errAnswerNo
}

func first(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return ""
}

func sortedUnique(xs []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(xs)))
}
