package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/settings"
)

// mailtrail runs one command in an environment, and returns its exit code and what it printed.
func mailtrail(t *testing.T, env string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{environ: strings.Fields(env), out: &stdout, errs: &stderr}
	code = p.execute(t.Context(), args)
	return code, stdout.String(), stderr.String()
}

// TestMistakesOnTheCommandLineAreUsageErrors: they end with 2, say what is wrong, and where the help is.
func TestMistakesOnTheCommandLineAreUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"launch":        `there is no command "mailtrail launch"`,
		"serve now":     `"mailtrail serve" takes no arguments`,
		"serve --fast":  "unknown flag: --fast",
		"serve --data":  "flag needs an argument: --data",
		"--data x nope": `there is no command "mailtrail nope"`,
	} {
		code, out, errs := mailtrail(t, "", strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "mailtrail: "+want) ||
			!strings.Contains(errs, "--help\n") {
			t.Errorf("mailtrail %s ends with %d, prints %q and %q, want %q", args, code, out, errs, want)
		}
	}
}

// TestHelpStartsNothing asks for help in the ways in which people do.
func TestHelpStartsNothing(t *testing.T) {
	for _, args := range []string{"", "help", "--help", "-h", "help serve", "serve --help"} {
		code, out, errs := mailtrail(t, "ADDR=nonsense", strings.Fields(args)...)
		if code != exitDone || !strings.Contains(out, "mailtrail serve") || errs != "" {
			t.Errorf("mailtrail %s ends with %d and prints %q, %q", args, code, out, errs)
		}
	}
}

// TestACommandThatFailsEndsWithOne: the command line makes sense, and the environment does not.
func TestACommandThatFailsEndsWithOne(t *testing.T) {
	code, _, errs := mailtrail(t, "ADDR=nonsense", "serve")
	if code != exitFailed || !strings.Contains(errs, `ADDR must be a host and a port, not "nonsense"`) {
		t.Errorf("ends with %d and prints %q", code, errs)
	}
}

// TestTheHelpListsEverySettingOfAMachine with its sentence, and none that only AWS has.
func TestTheHelpListsEverySettingOfAMachine(t *testing.T) {
	for _, args := range [][]string{{"help", "settings"}, {"settings", "--help"}} {
		code, page, errs := mailtrail(t, "", args...)
		if code != exitDone || errs != "" {
			t.Errorf("mailtrail %s ends with %d and prints %q", args, code, errs)
		}
		for _, s := range settings.All() {
			listed := strings.Contains(page, "  "+s.Name+"\n") || strings.Contains(page, "  "+s.Name+" *\n")
			if listed != (s.Place != settings.AWS) ||
				listed && !strings.Contains(page, strings.ReplaceAll(s.Sentence, "`", "")) {
				t.Errorf("mailtrail %s, of %s:\n%s", args, s.Name, page)
			}
		}
	}
}
