package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mailtrail/mailtrail/local/operator"
	"github.com/mailtrail/mailtrail/shared/access"
)

func (p *program) clientCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use: "client", Short: "Add, list and remove API clients",
		Long: `API clients are the programs that may call the API, each with a secret of its own. These commands need none,
so that they work when the last client is removed.`,
	})
	c.AddCommand(p.clientAdd(), p.clientList(), p.clientRemove())
	return c
}

func (p *program) clientAdd() *cobra.Command {
	var roles, connections []string
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an API client, and print its secret",
		Long: `Adds an API client, and prints its secret, which cannot be printed again.

An analyst searches, and reads connections and people. An admin adds and changes connections and clients,
and reads the trail.`,
		Example: `  mailtrail client add siem
  mailtrail client add console --role admin --role analyst
  mailtrail client add subsidiary --connection Contoso`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, role := range roles {
				if _, err := access.ParseRole(role); err != nil {
					return usage(err)
				}
			}
			return p.at(c.Context(), func(desk *operator.Desk) error {
				return p.addClient(c.Context(), desk, args[0], roles, connections)
			})
		},
	}
	c.Flags().StringSliceVar(&roles, "role", []string{string(access.Analyst)},
		"what the client may do, a `role`: admin or analyst; repeat it for both")
	c.Flags().StringSliceVar(&connections, "connection", nil,
		"limit the client to this `connection`, by id or name; repeat it for more")
	return c
}

func (p *program) addClient(ctx context.Context, desk *operator.Desk, name string, roles, connections []string) error {
	asked := access.NewClient{Name: name}
	for _, role := range roles {
		asked.Roles = append(asked.Roles, access.Role(role))
	}
	names, err := connectionNames(ctx, desk)
	if err != nil {
		return err
	}
	for _, connection := range connections {
		id, err := connectionID(names, connection)
		if err != nil {
			return err
		}
		asked.Connections = append(asked.Connections, id)
	}
	var made access.CreatedClient
	if err := desk.Ask(ctx, http.MethodPost, "/v1/clients", asked, &made); err != nil {
		return err
	}
	p.printf("Added API client %q: %s, for %s. Its secret is printed this once.\n\n  Client  %s\n  Secret  %s\n",
		made.Name, roleNames(made.Roles), limitNames(made.Connections, names), made.ID, made.Secret)
	return nil
}

func (p *program) clientList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the API clients", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.at(c.Context(), func(desk *operator.Desk) error { return p.listClients(c.Context(), desk) })
		},
	}
}

func (p *program) listClients(ctx context.Context, desk *operator.Desk) error {
	names, err := connectionNames(ctx, desk)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	n := 0
	err = pages(ctx, desk, "/v1/clients", func(page struct{ Clients []access.ShownClient }) {
		for _, c := range page.Clients {
			if n++; n == 1 {
				fmt.Fprintln(table, "CLIENT\tNAME\tROLES\tCONNECTIONS\tCREATED")
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.Name, roleNames(c.Roles), limitNames(c.Connections, names),
				c.Created.UTC().Format("2006-01-02 15:04"))
		}
	})
	if err != nil {
		return err
	}
	if n == 0 {
		p.printf("There are no API clients. Add one: mailtrail client add NAME --role admin --role analyst\n")
	}
	return table.Flush()
}

func (p *program) clientRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove CLIENT", Short: "Remove an API client; its tokens are refused at once", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.at(c.Context(), func(desk *operator.Desk) error { return p.removeClient(c.Context(), desk, args[0]) })
		},
	}
}

func (p *program) removeClient(ctx context.Context, desk *operator.Desk, id string) error {
	var client access.ShownClient
	path := "/v1/clients/" + url.PathEscape(id)
	if err := desk.Ask(ctx, http.MethodGet, path, nil, &client); err != nil {
		return err
	}
	if err := desk.Ask(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	p.printf("Removed API client %s (%q). Its secret and its tokens are refused from now on.\n", client.ID, client.Name)
	return p.forgetFirst(client.ID)
}

// forgetFirst deletes the file with the first client's secret when that client is removed.
func (p *program) forgetFirst(id string) error {
	dir, err := p.folder()
	if err != nil {
		return err
	}
	first, err := readCredential(dir)
	if err != nil || first.id != id {
		return err
	}
	// What stays says that the first client was there: a start does not make another.
	if err := writeCredential(dir, credential{id: id}); err != nil {
		return err
	}
	p.printf("Its secret was taken out of %s.\n", filepath.Join(dir, clientFile))
	return nil
}

// pages reads a list page by page.
func pages[T any](ctx context.Context, desk *operator.Desk, path string, each func(T)) error {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	for next := ""; ; {
		var page struct {
			Next *string `json:"nextPgToken"`
		}
		var items T
		var answer json.RawMessage
		from := path
		if next != "" {
			from += separator + "pgToken=" + url.QueryEscape(next)
		}
		err := desk.Ask(ctx, http.MethodGet, from, nil, &answer)
		if err == nil {
			err = errors.Join(json.Unmarshal(answer, &page), json.Unmarshal(answer, &items))
		}
		if err != nil {
			return err
		}
		each(items)
		if page.Next == nil {
			return nil
		}
		next = *page.Next
	}
}

// connectionNames are the names of all connections, by id.
func connectionNames(ctx context.Context, desk *operator.Desk) (map[string]string, error) {
	var list struct {
		Connections []struct{ ID, DisplayName string }
	}
	if err := desk.Ask(ctx, http.MethodGet, "/v1/connections", nil, &list); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, c := range list.Connections {
		names[c.ID] = c.DisplayName
	}
	return names, nil
}

// connectionID finds a connection by its id or its name.
func connectionID(names map[string]string, asked string) (string, error) {
	if _, ok := names[asked]; ok {
		return asked, nil
	}
	for id, name := range names {
		if strings.EqualFold(name, asked) {
			return id, nil
		}
	}
	return "", fmt.Errorf("there is no connection %q", asked)
}

func roleNames(roles []access.Role) string {
	var all []string
	for _, r := range roles {
		all = append(all, string(r))
	}
	return strings.Join(all, ", ")
}

func limitNames(limit access.Limit, names map[string]string) string {
	if limit == nil {
		return "all connections"
	}
	var all []string
	for _, id := range limit {
		if name := names[id]; name != "" {
			id += " (" + name + ")"
		}
		all = append(all, id)
	}
	return strings.Join(all, ", ")
}
