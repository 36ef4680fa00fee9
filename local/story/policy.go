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

// policy is all that the template's roles allow, with the statement that does.
type policy map[act]string

// readPolicy reads every statement of every role. Anything but an action and a resource named one by one is an error: nothing here is
// allowed by a star.
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

// denied are the acts that a policy does not allow, in order.
func (p policy) denied(acts map[act]int) []act {
	var all []act
	for a := range acts {
		if _, ok := p[a]; !ok {
			all = append(all, a)
		}
	}
	return sorted(all)
}

// unused are what a policy allows and nobody did.
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

// excused tells why a statement is there although no call of the story needs it.
func excused(a act) string {
	if (a == act{"PollRole", "dynamodb:DeleteItem", "BlobsTable"}) {
		return "the poller moves a blob that nothing was read of for 10 minutes, which is longer than the story"
	}
	if a.role == "PollRole" && a.resource == "EventsTable" && (a.action == "dynamodb:BatchGetItem" || a.action == "dynamodb:BatchWriteItem") || (a == act{"PollRole", "sqs:SendMessage", "MessageQueue"}) {
		return "the poller queues a message again that has waited 5 minutes beyond EnrichMinutes, which is longer than the story"
	}
	if (a == act{"EnrichRole", "dynamodb:BatchGetItem", "EventsTable"}) {
		return "a message that does not fit into one item, with thousands of attachments or recipients, is not in the story"
	}
	if (a == act{"EnrichRole", "dynamodb:Query", "PeopleTable"}) {
		return "the company's own domains matter where Hashes is external, and the story hashes all"
	}
	if (a == act{"PollRole", "dynamodb:DeleteItem", "EventsTable"}) {
		return "a connection with events is deleted 16 minutes after it was deauthorized, which is longer than the story"
	}
	if (a == act{"PollRole", "dynamodb:DeleteItem", "PeopleTable"}) {
		return "as with events"
	}
	if (a == act{"CensusRole", "dynamodb:DeleteItem", "PeopleTable"}) {
		return "names that somebody has no more, and lists, are taken away by the census of another day"
	}
	return ""
}

// without is the policy without one act, as if it was struck out of the template.
func (p policy) without(a act) policy {
	rest := maps.Clone(p)
	delete(rest, a)
	return rest
}
