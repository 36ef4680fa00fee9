// Command story proves the AWS side without an account. It deploys template.yaml's tables and queues to engines that
// speak AWS's protocols, runs the built functions the way Lambda does, and goes the whole way: an administrator
// consents at a simulated Microsoft 365, the schedule polls, the queue is read, and search finds each attachment
// once. Then it does so in bad weather. It checks for each call whether the function's role allows it, and for each
// statement whether it is needed.
//
// AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_SQS name the engines. It prints what it has proved, and exits with 1
// if it cannot prove something.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "story:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	engines := map[string]string{"dynamodb": os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"),
		"sqs": os.Getenv("AWS_ENDPOINT_URL_SQS")}
	if engines["dynamodb"] == "" || engines["sqs"] == "" {
		return errors.New("AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL_SQS is missing: run this by `make check-aws`")
	}
	amazon, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	t, err := readTemplate("template.yaml")
	if err != nil {
		return err
	}
	binaries, err := os.MkdirTemp("", "story")
	if err != nil {
		return err
	}
	defer os.RemoveAll(binaries)
	if err := build(ctx, t, binaries); err != nil {
		return err
	}
	return prove(ctx, plan{
		template: t, binaries: binaries, cloud: cloud{dynamodb.NewFromConfig(amazon), sqs.NewFromConfig(amazon)},
		engines:    engines,
		credential: issuedSecret(), seed: 7, domain: domain,
	})
}

// build builds each function of the template as we ship it, except that it is for this machine.
func build(ctx context.Context, t *template, into string) error {
	begun := time.Now()
	for _, id := range t.named(typeFunction) {
		folder, err := source(t, id)
		if err != nil {
			return fmt.Errorf("function %s: %w", id, err)
		}
		binary := filepath.Join(into, filepath.Base(folder))
		command := exec.CommandContext(ctx, "functions/flags", "go", "build", "-o", binary, "./"+folder)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", id, err, out)
		}
	}
	say("built %d functions in %.1f s", len(t.named(typeFunction)), time.Since(begun).Seconds())
	return nil
}

func say(format string, args ...any) { fmt.Printf("story: "+format+"\n", args...) }
