package main

import (
	"slices"
	"strings"
	"testing"
)

func TestPoliciesNameEachActAndEachResource(t *testing.T) {
	all, err := readPolicy(parsed(t, small))
	if err != nil {
		t.Fatal(err)
	}
	for a, sid := range map[act]string{
		{"ReadRole", "dynamodb:GetItem", "Things"}: "Read", {"ReadRole", "dynamodb:Query", "Things"}: "Read",
		{"TickRole", "lambda:InvokeFunction", "Clock"}: "Invoke", {"TickRole", "sqs:SendMessage", "Dead"}: "Bury",
	} {
		if all[a] != sid {
			t.Errorf("%s is allowed by statement %q, want %q", a, all[a], sid)
		}
	}
	for _, c := range []struct{ from, to, says string }{
		{"Action: lambda:InvokeFunction", `Action: "lambda:*"`, "action lambda:* is not named"},
		{"Action: lambda:InvokeFunction", "Action: [[1]]", "is not named"},
		{"Sid: Invoke, Effect: Allow", "Sid: Invoke, Effect: Deny", `statement "Invoke" is not a plain Allow`},
		{"Sid: Invoke, Effect: Allow", "Sid: Invoke, Effect: Allow, Condition: { A: B }", "not a plain Allow"},
		{"Resource: !GetAtt Clock.Arn", `Resource: "*"`, "resource * is not named"},
		{"Resource: !GetAtt Clock.Arn", `Resource: !Sub "${Clock.Arn}*"`, "is not named"},
		{"Resource: !GetAtt Clock.Arn", "Resource: !GetAtt Clock.Name", "is not named"},
	} {
		if _, err := readPolicy(parsed(t, small, c.from, c.to)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

func TestWhatIsDoneIsHeldAgainstWhatIsAllowed(t *testing.T) {
	read, write := act{"R", "dynamodb:GetItem", "T"}, act{"R", "dynamodb:PutItem", "T"}
	p := policy{read: "Read", write: "Write"}
	if got := p.denied(map[act]int{read: 3}); len(got) != 0 {
		t.Errorf("denied %v", got)
	}
	other := act{"R", "dynamodb:PutItem", "U"}
	if got := p.denied(map[act]int{read: 1, other: 1}); !slices.Equal(got, []act{other}) {
		t.Errorf("denied %v", got)
	}
	if got := p.unused(map[act]int{read: 3}); !slices.Equal(got, []act{write}) {
		t.Errorf("unused %v", got)
	}
	if got := p.without(read).denied(map[act]int{read: 1, write: 1}); !slices.Equal(got, []act{read}) || len(p) != 2 {
		t.Errorf("without %s: denied %v, and the policy has %d acts", read, got, len(p))
	}
}

func TestMeasureNamesEveryActThatNobodyNeeds(t *testing.T) {
	tmpl := parsed(t, small)
	all, err := readPolicy(tmpl)
	if err != nil {
		t.Fatal(err)
	}
	acts := map[act]int{}
	for a := range all {
		acts[a] = 1
	}
	if err := measure(tmpl, acts); err != nil {
		t.Error(err)
	}
	delete(acts, act{"ReadRole", "dynamodb:Query", "Things"})
	delete(acts, act{"TickRole", "sqs:SendMessage", "Dead"})
	err = measure(tmpl, acts)
	for _, want := range []string{"ReadRole dynamodb:Query Things (statement Read)",
		"TickRole sqs:SendMessage Dead (statement Bury)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	acts[act{"ReadRole", "dynamodb:PutItem", "Things"}] = 1
	if err := measure(tmpl, acts); err == nil || !strings.Contains(err.Error(), "nothing is missed") {
		t.Errorf("what was denied is not told: %v", err)
	}
}
