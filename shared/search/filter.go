package search

import (
	"slices"
	"strings"
	"time"
)

// Operator compares a term with a value (Incydr: operator).
type Operator string

// Incydr's operators.
const (
	Is            Operator = "IS"
	IsNot         Operator = "IS_NOT"
	IsAny         Operator = "IS_ANY"
	IsNone        Operator = "IS_NONE"
	Exists        Operator = "EXISTS"
	DoesNotExist  Operator = "DOES_NOT_EXIST"
	GreaterThan   Operator = "GREATER_THAN"
	LessThan      Operator = "LESS_THAN"
	On            Operator = "ON"
	OnOrAfter     Operator = "ON_OR_AFTER"
	OnOrBefore    Operator = "ON_OR_BEFORE"
	WithinTheLast Operator = "WITHIN_THE_LAST"
)

// operators returns the operators that a kind of term has.
func (k kind) operators() []Operator {
	switch k {
	case number:
		return []Operator{Is, IsNot, IsAny, IsNone, GreaterThan, LessThan, Exists, DoesNotExist}
	case moment:
		return []Operator{On, OnOrAfter, OnOrBefore, WithinTheLast, Exists, DoesNotExist}
	case boolean:
		return []Operator{Is, IsNot, Exists, DoesNotExist}
	}
	return []Operator{Is, IsNot, IsAny, IsNone, Exists, DoesNotExist}
}

// known reports whether Incydr has the operator at all.
func (o Operator) known() bool {
	for _, k := range []kind{text, number, moment} {
		if slices.Contains(k.operators(), o) {
			return true
		}
	}
	return false
}

// tree is a query's condition: a predicate, or branches of which all or any must hold.
type tree struct {
	predicate *predicate
	any       bool
	branches  []*tree
}

// match reports whether the condition holds for e.
func (t *tree) match(e *event) bool {
	if t.predicate != nil {
		return t.predicate.match(e)
	}
	for _, b := range t.branches {
		if b.match(e) == t.any {
			return t.any
		}
	}
	return !t.any
}

// fold replaces what is the same for every event by true (an empty conjunction) or false (an empty disjunction), and
// removes branches that make no difference.
func (t *tree) fold() *tree {
	if t.predicate != nil {
		if holds, known := t.predicate.settled(); known {
			return &tree{any: !holds}
		}
		return t
	}
	out := &tree{any: t.any}
	for _, b := range t.branches {
		b = b.fold()
		if b.predicate == nil && len(b.branches) == 0 {
			if b.any != t.any { // false in a conjunction, true in a disjunction
				return b
			}
			continue
		}
		out.branches = append(out.branches, b)
	}
	if len(out.branches) == 1 {
		return out.branches[0]
	}
	return out
}

// never reports whether a folded condition holds for no event.
func (t *tree) never() bool { return t.predicate == nil && t.any && len(t.branches) == 0 }

// predicate is one filter, with its value prepared for its operator.
type predicate struct {
	term     *term
	operator Operator
	patterns []pattern // texts
	numbers  []int64   // numbers; a boolean as 0 or 1
	within   span      // times
}

// settled reports whether the predicate holds, if that is the same for every event.
func (p *predicate) settled() (holds, known bool) {
	switch {
	case p.term.constant || p.term.get == nil:
		return p.match(nil), true
	case p.term.always && (p.operator == Exists || p.operator == DoesNotExist):
		return p.operator == Exists, true
	}
	return false, false
}

// match reports whether the predicate holds for e, which may be nil if the term is constant. On a term with several
// values IS holds if it does for one of them, and IS_NOT if it does for all. A missing value is equal to nothing, so
// IS_NOT holds.
func (p *predicate) match(e *event) bool {
	v := p.term.of(e)
	switch p.operator {
	case Exists:
		return !v.missing()
	case DoesNotExist:
		return v.missing()
	case IsNot, IsNone:
		return !p.is(v)
	case GreaterThan:
		return v.some(func(n int64) bool { return n > p.numbers[0] })
	case LessThan:
		return v.some(func(n int64) bool { return n < p.numbers[0] })
	case Is, IsAny:
		return p.is(v)
	}
	return v.some(p.within.has)
}

func (p *predicate) is(v value) bool {
	if p.term.kind != text {
		return v.some(func(n int64) bool { return slices.Contains(p.numbers, n) })
	}
	if v.ok {
		return p.matches(v.text)
	}
	return slices.ContainsFunc(v.texts, p.matches)
}

func (p *predicate) matches(s string) bool {
	s = lower(s)
	for i := range p.patterns {
		if p.patterns[i].match(s) {
			return true
		}
	}
	return false
}

// some reports whether test holds for one of v's numbers.
func (v value) some(test func(int64) bool) bool {
	if len(v.nums) > 0 {
		return slices.ContainsFunc(v.nums, test)
	}
	return v.ok && test(v.num)
}

// during is when a predicate on a time holds. value is as the filter has it.
func during(o Operator, value string, now time.Time) (span, error) {
	if o == WithinTheLast {
		p, err := parsePeriod(value)
		return span{p.before(now), maxMoment}, err
	}
	at, whole, err := parseMoment(strings.TrimSpace(value))
	if err != nil {
		return span{}, err
	}
	switch o {
	case On:
		return dayOf(at), nil
	case OnOrBefore: // a day includes its evening
		return span{minMoment, at + whole}, nil
	}
	return span{at, maxMoment}, nil
}
