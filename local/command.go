package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the command line makes no sense
)

// errUsage marks errors in the command line itself.
var errUsage = errors.New("usage")

// program is one call of the command line, and what it may use of its surroundings.
type program struct {
	environ   []string // "NAME=value" each
	out, errs io.Writer

	// outTerminal and errsTerminal report whether out and errs are terminals.
	outTerminal, errsTerminal bool

	data string // --data
	log  bool   // --log
}

// execute runs the command that args name and returns the exit code.
func (p *program) execute(ctx context.Context, args []string) int {
	root := p.commands()
	root.SetArgs(args)
	root.SetOut(p.out)
	root.SetErr(p.errs)
	ran, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUsage):
		text := strings.TrimSuffix(err.Error(), ": "+errUsage.Error())
		fmt.Fprintf(p.errs, "mailtrail: %s\nSee: %s --help\n", text, ran.CommandPath())
		return exitUsage
	}
	fmt.Fprintln(p.errs, "mailtrail:", err)
	return exitFailed
}

// commands is the whole command line.
func (p *program) commands() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "mailtrail",
		Short: "Mailtrail shows which files left the company by Microsoft 365 mail",
		Long: `Mailtrail shows a security team which files left the company by Microsoft 365 mail: who sent which file to
whom, when.

"mailtrail serve" runs it on this machine. The other commands look after its data folder, whether it runs or
not.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&p.data, "data", "",
		"the data `folder` (default: that of DATA, or data/company or data/microsoft)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(
		p.serveCommand(),
		p.clientCommand(),
		p.deadCommand(),
		p.enrichCommand(),
		p.verifyCommand(),
		p.backupCommand(),
		p.restoreCommand(),
		p.doctorCommand(),
		p.versionCommand(),
		settingsTopic(),
	)
	return root
}

// group makes a command that only holds others: alone it prints its help, and a word that is none of them is a usage
// error.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(fmt.Errorf("there is no command %q", c.CommandPath()+" "+args[0]))
		}
		return c.Help()
	}
	return c
}

// exactly accepts n arguments, which the command's usage line names.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == n:
			return nil
		case n == 0:
			return usage(fmt.Errorf("%q takes no arguments, and got %q", c.CommandPath(), args[0]))
		}
		return usage(fmt.Errorf("the command is %q: it takes %s, and got %d", c.UseLine(), plural(n, "argument"), len(args)))
	}
}

func usage(err error) error { return fmt.Errorf("%w: %w", err, errUsage) }

func (p *program) serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run Mailtrail until Ctrl-C",
		Long: `Runs every agent in one process, over the data folder, and answers on ADDR (127.0.0.1:8080).

Without Microsoft credentials in the environment it simulates a Microsoft 365 tenant and connects it.
"mailtrail help settings" lists the settings.`,
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return p.serve(c.Context()) },
	}
	c.Flags().BoolVar(&p.log, "log", false, "write the log to stderr, as well as to the data folder")
	return c
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0),
		Run: func(*cobra.Command, []string) { p.printf("mailtrail %s\n", version()) },
	}
}
