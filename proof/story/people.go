package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// counted ticks until the census has been taken, and compares it with who is in the company.
func (t *teller) counted(ctx context.Context) error {
	premium := 0
	for _, p := range t.company.People() {
		for _, plan := range p.Plans {
			usable := plan.CapabilityStatus == "Enabled" || plan.CapabilityStatus == "Warning"
			if plan.ID == "2f442157-a11c-46b9-ae5b-6e39ff4e5849" && usable && p.Enabled && p.Mail != "" &&
				p.UserType == "Member" {
				premium++
			}
		}
	}
	return t.until(ctx, "the census", func() (bool, error) {
		if err := t.tick(ctx); err != nil {
			return false, err
		}
		var page struct {
			Sums struct {
				People     int
				ByCoverage map[string]int
				Census     struct{ Finished *string }
			}
		}
		err := t.ask(ctx, http.MethodGet, "/v1/connections/"+t.id+"/people", "", http.StatusOK, &page)
		if err != nil || page.Sums.Census.Finished == nil {
			return false, err
		}
		if s := page.Sums; s.People != len(t.company.People()) || s.ByCoverage["monitored"] != premium {
			return false, fmt.Errorf("the census counts %+v; %d people are in the company, %d of them with the plan", s,
				len(t.company.People()), premium)
		}
		return true, nil
	})
}

// scoped sets the scope to one person and back, and looks at people one by one and as a file.
func (t *teller) scoped(ctx context.Context) error {
	base, who := "/v1/connections/"+t.id, t.company.People()[0].UserPrincipalName
	var person struct{ Coverage string }
	if err := t.ask(ctx, http.MethodGet, base+"/people/"+who, "", http.StatusOK, &person); err != nil ||
		person.Coverage != "monitored" {
		return errors.Join(err, fmt.Errorf("the administrator is %q", person.Coverage))
	}
	var listed struct{ UnknownCount int }
	if err := t.ask(ctx, http.MethodPut, base+"/scope/users", "email\r\n"+who+"\r\nnobody@elsewhere.example\r\n",
		http.StatusOK, &listed); err != nil || listed.UnknownCount != 1 {
		return errors.Join(err, fmt.Errorf("%d of the list are unknown", listed.UnknownCount))
	}
	for _, kind := range []string{"users", "all"} {
		body := `{"kind":"` + kind + `","gate":"premium"}`
		if err := t.ask(ctx, http.MethodPut, base+"/scope", body, http.StatusOK, nil); err != nil {
			return err
		}
		var page struct {
			Sums struct{ ByCoverage map[string]int }
		}
		err := t.ask(ctx, http.MethodGet, base+"/people", "", http.StatusOK, &page)
		if n := page.Sums.ByCoverage["monitored"]; err != nil || (n > 1) != (kind == "all") {
			return errors.Join(err, fmt.Errorf("with a scope of %s %d are monitored", kind, n))
		}
	}
	if err := t.ask(ctx, http.MethodGet, base+"/scope", "", http.StatusOK, nil); err != nil {
		return err
	}
	var file string
	err := t.ask(ctx, http.MethodGet, base+"/people.csv", "", http.StatusOK, &file)
	if lines := strings.Count(file, "\n"); err != nil || lines != 1+len(t.company.People()) {
		return errors.Join(err, fmt.Errorf("%d lines are exported of %d people", lines, len(t.company.People())))
	}
	return nil
}
