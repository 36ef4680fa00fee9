package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// act is what a role does to a resource: an action of IAM, and the resource's name in the template.
type act struct{ role, action, resource string }

func (a act) String() string { return a.role + " " + a.action + " " + a.resource }

// policy is everything that the template's roles allow, each with its statement.
type policy map[act]string

// readPolicy reads every statement of every role. Each action and resource must be named; a wildcard is an error.
func readPolicy(t *template) (policy, error) {
	all := policy{}
	for _, role := range t.named(typeRole) {
		for _, p := range list(t.Resources[role].Properties["Policies"]) {
			for _, statement := range list(at(p, "PolicyDocument", "Statement")) {
				if err := all.add(role, statement); err != nil {
					return nil, fmt.Errorf("role %s: %w", role, err)
				}
			}
		}
	}
	return all, nil
}

func (p policy) add(role string, statement any) error {
	sid, _ := at(statement, "Sid").(string)
	if at(statement, "Effect") != "Allow" || at(statement, "Condition") != nil {
		return fmt.Errorf("statement %q is not a plain Allow", sid)
	}
	for _, r := range list(at(statement, "Resource")) {
		name, ok := strings.CutSuffix(reference(r), ".Arn")
		if name == "" || !ok && at(r, "Ref") == nil {
			return fmt.Errorf("statement %q: resource %v is not named", sid, r)
		}
		for _, a := range list(at(statement, "Action")) {
			action, err := text(a)
			if err != nil || strings.Contains(action, "*") {
				return fmt.Errorf("statement %q: action %v is not named", sid, a)
			}
			p[act{role, action, name}] = sid
		}
	}
	return nil
}

// denied returns the acts that a policy does not allow, in order.
func (p policy) denied(acts map[act]int) []act {
	var all []act
	for a := range acts {
		if _, ok := p[a]; !ok {
			all = append(all, a)
		}
	}
	return sorted(all)
}

// unused returns the acts that a policy allows and nobody did.
func (p policy) unused(acts map[act]int) []act {
	var all []act
	for a := range p {
		if acts[a] == 0 {
			all = append(all, a)
		}
	}
	return sorted(all)
}

func sorted(all []act) []act {
	slices.SortFunc(all, func(a, b act) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// excuses says why an act is allowed although no call of the story needs it: each would take longer than the story, or
// needs other settings.
func excuses() map[act]string {
	const (
		hold  = "the poller moves a blob that nothing was read of for 10 minutes"
		sweep = "the poller queues a message again that has waited 5 minutes beyond EnrichMinutes"
		deny  = "the census tells a connection that its tenant refuses to say who is in it"
		purge = "what a connection has brought is deleted 16 minutes after it was deauthorized"
	)
	return map[act]string{
		{"PollRole", "dynamodb:DeleteItem", "BlobsTable"}:      hold,
		{"PollRole", "dynamodb:BatchGetItem", "EventsTable"}:   sweep,
		{"PollRole", "dynamodb:BatchWriteItem", "EventsTable"}: sweep,
		{"PollRole", "sqs:SendMessage", "MessageQueue"}:        sweep,
		{"PollRole", "dynamodb:DeleteItem", "EventsTable"}:     purge,
		{"PollRole", "dynamodb:DeleteItem", "PeopleTable"}:     purge,
		{"CensusRole", "dynamodb:GetItem", "ConnectionsTable"}: deny,
		{"CensusRole", "dynamodb:PutItem", "ConnectionsTable"}: deny,
		{"CensusRole", "dynamodb:DeleteItem", "PeopleTable"}: "names that somebody has no more, and lists, are taken " +
			"away by the census of another day",
		{"IngestRole", "dynamodb:ConditionCheckItem", "BlobsTable"}: "a blob reaches ingest before the poller has " +
			"remembered it, which is a matter of milliseconds",
		{"EnrichRole", "dynamodb:Query", "PeopleTable"}: "the company's own domains matter where Hashes is " +
			"external, and the story hashes all",
	}
}

// without returns the policy without one act, as if it was removed from the template.
func (p policy) without(a act) policy {
	rest := maps.Clone(p)
	delete(rest, a)
	return rest
}
