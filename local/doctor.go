package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailtrail/mailtrail/local/operator"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/doctor"
	"github.com/mailtrail/mailtrail/shared/m365"
)

func (p *program) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor TENANT", Short: "Examine a tenant at Microsoft, reading only",
		Long: `Doctor says which of our assumptions about Microsoft hold in a tenant, before or after its consent. It uses
the settings that serve uses, reads only, and reports counts, codes and times, but no personal data. TENANT
is an id or a domain. Where the data folder has a connection to the tenant, doctor also says which claims came
with its consent.`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			config, err := readConfig(p.environ)
			if err != nil {
				return err
			}
			if config.microsoft == nil {
				return errors.New("the environment describes no application at Microsoft: see \"mailtrail help settings\"")
			}
			config.microsoft.RedirectURL = config.Base + connection.CallbackPath
			client, err := m365.New(*config.microsoft)
			if err != nil {
				return err
			}
			tenant := connection.Tenant{ID: connection.TenantID(strings.ToLower(args[0])), Cloud: config.Cloud}
			if !connection.IsGUID(args[0]) {
				if tenant.ID, err = client.TenantOf(c.Context(), config.Cloud, args[0]); err != nil {
					return err
				}
			}
			report := doctor.Examine(c.Context(), client, tenant, p.consentOf(c.Context(), tenant.ID), time.Now())
			if asJSON {
				encoder := json.NewEncoder(p.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(report)
			}
			return report.WriteText(p.out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	return c
}

// consentOf is what the data folder keeps of the tenant's consent; nil if it keeps nothing, or cannot be asked.
func (p *program) consentOf(ctx context.Context, tenant connection.TenantID) *doctor.Consent {
	var said operator.Consent
	err := p.at(ctx, func(desk *operator.Desk) error {
		return desk.Ask(ctx, "GET", "/operator/consent/"+url.PathEscape(string(tenant)), nil, &said)
	})
	if err != nil || !said.Known {
		return nil
	}
	return &doctor.Consent{Given: said.Given, Claims: said.Claims}
}
