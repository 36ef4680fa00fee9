package connection_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Every code that Microsoft documents and that we have met elsewhere, by where it comes from.
const (
	activityCodes = `AF10001 AF20001 AF20002 AF20003 AF20010 AF20011 AF20012 AF20013 AF20020 AF20021 AF20022 AF20023 AF20024 AF20030 AF20031
		AF20050 AF20051 AF20052 AF20053 AF20054 AF20055 AF429 AF50000`
	loginCodes = `700016 700011 7000112 70001 1000031 65001 7000215 7000222 700027 700024 50012 50013 50027 7000216 7000218 700025
		90002 90038 900382 900432 50001 500011 500014 650052 650054
		650056 650057 650051 9001023 70011 700022 700023 28002 901002
		53003 530032 90033 90024 90006 90090 50033 90012 90055 50196 7000229 50194 50011 900971 50020`
	graphCodes = `InvalidAuthenticationToken Authorization_RequestDenied ErrorAccessDenied ErrorItemNotFound ErrorInvalidUser
		MailboxNotEnabledForRESTAPI ResourceNotFound Request_ResourceNotFound
		extensionError InefficientFilter RequestBroker--ParseUri
		resyncRequired syncStateNotFound TooManyRequests ErrorMailboxMoveInProgress`
	ourCodes = `AuditLogOff SubscriptionStuck ContentRefused.AF20052 GroupsDenied PersonalAccount OtherCloud.commercial OtherCloud.gcc OtherCloud.gcchigh OtherCloud.dod`
)

func everyCode() []string {
	codes := strings.Fields(activityCodes)
	for _, number := range strings.Fields(loginCodes) {
		codes = append(codes, "AADSTS"+number)
	}
	return append(append(codes, strings.Fields(graphCodes)...), strings.Fields(ourCodes)...)
}

// Pain 14: errors that nobody can act on. The golden file has, for every code, whose fault it is, what becomes of the
// connection in the first hour after the consent and later, and the sentence and the action that the administrator
// reads.
func TestEveryErrorOfMicrosoftTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	var got strings.Builder
	r, clock := newRegistry(t)
	id := consented(t, r)
	becomes := func(code string, after time.Duration) connection.Status {
		return statusAfter(t, r, clock, id, code, after)
	}
	for _, code := range everyCode() {
		c := connection.CauseOf(code)
		if !c.Known {
			t.Errorf("%s is known to nobody", code)
		}
		fresh, later := becomes(code, time.Minute), becomes(code, 2*time.Hour)
		blamed := c.Class == fault.Refused && c.About == connection.OfTenant
		if blamed != (later == connection.Error) || blamed && (c.Sentence == "" || c.Action == "") {
			t.Errorf("%s blames the tenant: %t; the connection is %s; it reads %q", code, blamed, later, c.Reason("Acme"))
		}
		if errors.Is(c.Class, fault.Ours) && c.Sentence != "" {
			t.Errorf("%s is our fault, and the tenant reads %q", code, c.Sentence)
		}
		if c.Spreads != (blamed && fresh == connection.Initializing) {
			t.Errorf("%s spreads: %t; in the first hour the connection is %s", code, c.Spreads, fresh)
		}
		fmt.Fprintf(&got, "%s\n    %s\n    first hour %s, later %s\n", code, blame(c), fresh, later)
		for _, text := range []string{c.Sentence, c.Action} {
			if text != "" {
				fmt.Fprintf(&got, "    %s\n", text)
			}
		}
	}
	const golden = "testdata/causes.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the causes are not those of %s; -update rewrites it:\n%s", golden, got.String())
	}
}

// blame is whose fault a cause is, in words.
func blame(c connection.Cause) string {
	switch {
	case c.Class == nil:
		return "no failure"
	case errors.Is(c.Class, fault.Retry):
		return "passes by itself"
	case errors.Is(c.Class, fault.Ours):
		return "our fault: the operator's alarm"
	case errors.Is(c.Class, fault.Refused):
		return "the " + string(c.About) + " refuses"
	}
	return "of one " + string(c.About)
}

// statusAfter is the status of a connection that was consented to so long ago, after a poll that failed with the code.
func statusAfter(
	t *testing.T,
	r *connection.Registry,
	clock *clock,
	id connection.ID,
	code string,
	after time.Duration,
) connection.Status {
	t.Helper()
	if _, err := r.Consented(t.Context(), id, administrator(acme)); err != nil {
		t.Fatal(err)
	}
	clock.advance(after)
	class := connection.CauseOf(code).Class
	var outcome error
	if class != nil {
		outcome = &fault.Error{Kind: class, Code: code, Err: errors.New("refused")}
		if after > time.Hour { // it was Monitoring before
			if err := r.Report(t.Context(), id, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Report(t.Context(), id, outcome); err != nil {
		t.Fatal(err)
	}
	c, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c.Status
}

// The three sentences of the product that we follow keep their meaning, with steps that can be taken.
func TestTheThreeSentencesOfTheOriginal(t *testing.T) {
	for code, want := range map[string][]string{
		connection.AuditLogOff: {"audit log is inaccessible", "Turn auditing on", "returns to Monitoring by itself"},
		"AF10001": {"does not have the right permissions", "Enterprise applications", "grant admin consent",
			"with a new link", "returns to Monitoring by itself"},
		"AADSTS700016": {"has been deleted", "Enterprise applications",
			"authorize this connection again with a new link", "grant admin consent", "returns to Monitoring by itself"},
		"AADSTS4711": {"There was an issue with the connection to Acme & Co", "(AADSTS4711)",
			"Deauthorize the connection and resume it"},
		"": {"There was an issue with the connection to Acme & Co: Microsoft refused access. "},
	} {
		for _, part := range want {
			if got := connection.CauseOf(code).Reason("Acme & Co"); !strings.Contains(got, part) {
				t.Errorf("%q reads %q, without %q", code, got, part)
			}
		}
	}
}

func TestACodeThatNobodyKnowsIsARefusalWithItsName(t *testing.T) {
	c := connection.CauseOf("AADSTS1")
	if c.Known || c.Class != fault.Refused || c.About != connection.OfTenant {
		t.Errorf("%+v", c)
	}
	if c := connection.CauseOf(strings.Repeat("x", 65)); strings.Contains(c.Sentence, "xxx") {
		t.Errorf("what is no code is quoted: %q", c.Sentence)
	}
	if c := connection.CauseOf(connection.OtherCloud + "mars"); c.Known {
		t.Errorf("a cloud that there is not: %+v", c)
	}
}
