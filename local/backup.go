package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailtrail/mailtrail/local/operator"
)

func (p *program) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Recount the ledger, and report what does not add up",
		Long: `Recounts the ledger of every connection from its entries: whether listed = settled + open + lost, and
whether the sums are those of the entries. It changes nothing. If something contradicts itself, it says
what, and ends with 1.`,
		Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.at(c.Context(), func(desk *operator.Desk) error { return p.verify(c.Context(), desk) })
		},
	}
}

func (p *program) verify(ctx context.Context, desk *operator.Desk) error {
	var all operator.Verification
	if err := desk.Ask(ctx, http.MethodPost, "/operator/verify", nil, &all); err != nil {
		return err
	}
	wrong := 0
	for _, v := range all.Connections {
		p.printf("%s (%s): %d listed = %d settled + %d open + %d lost; %s.\n",
			v.DisplayName, v.Connection, v.Listed, v.Settled, v.Open, v.Lost, plural(v.Events, "event"))
		for _, text := range v.Wrong {
			p.printf("  WRONG: %s\n", text)
		}
		if v.More > 0 {
			p.printf("  WRONG: and %d more\n", v.More)
		}
		if wrong += len(v.Wrong) + v.More; len(v.Wrong) == 0 {
			p.printf("  It adds up%s.\n", map[bool]string{true: ", as far as entries are kept (60 days)"}[v.Expired])
		}
	}
	if all.Deleting > 0 {
		p.printf("Not recounted, for it is being deleted: %s.\n", plural(all.Deleting, "connection"))
	}
	if len(all.Connections) == 0 {
		p.printf("There are no connections to recount.\n")
	}
	if wrong > 0 {
		return fmt.Errorf("the ledger contradicts itself: %s", plural(wrong, "contradiction"))
	}
	return nil
}

func (p *program) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FOLDER", Short: "Write a backup of the data folder, also while Mailtrail runs",
		Long: `Writes everything that a start needs, as it is at one moment, to a folder that does not exist or is empty.
On the disk of the data folder the backup takes little space at first, and is lost with that disk: copy it
elsewhere.

The backup holds what the data folder holds, the first API client's secret included: keep it as safe.`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := absolute(args[0])
			if err != nil {
				return err
			}
			return p.at(c.Context(), func(desk *operator.Desk) error {
				var made operator.Backup
				asked := map[string]string{"folder": folder}
				if err := desk.Ask(c.Context(), http.MethodPost, "/operator/backup", asked, &made); err != nil {
					return err
				}
				p.printf("Backed up %s, %s, to %s.\n", plural(len(made.Files), "file"), size(made.Bytes()), folder)
				return nil
			})
		},
	}
}

func (p *program) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FOLDER", Short: "Make a data folder of a backup",
		Long: `Copies a backup to the data folder, which must not exist yet, or be empty. Nothing is overwritten.
Afterwards "mailtrail verify" recounts the ledger, and "mailtrail serve" goes on where the backup was made.`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := p.folder()
			if err != nil {
				return err
			}
			made, err := operator.Restore(c.Context(), args[0], dir)
			if err != nil {
				return fmt.Errorf("nothing was restored: %w", err)
			}
			p.printf("Restored %s, %s, to %s, as of %s.\n",
				plural(len(made.Files), "file"), size(made.Bytes()), dir, made.Made.Format(time.RFC3339))
			return nil
		},
	}
}

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KB", (bytes+1023)>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
}
