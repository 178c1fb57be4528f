/**
 * One thing that is done, in order. A plan is the list of steps that then runs: what a dry run shows cannot differ from
 * what happens.
 */
export interface Step<Name extends string = string> {
  readonly name: Name
  /** What it does, in the present, for people. */
  readonly message: string
  readonly run: () => Promise<void> | void
}

/** A step as results show it. */
export type PlanStep<Name extends string = string> = Pick<Step<Name>, 'name' | 'message'>

/** What the steps are, without running one. */
export function planOf<Name extends string>(steps: readonly Step<Name>[]): PlanStep<Name>[] {
  return steps.map(({ name, message }) => ({ name, message }))
}

/** Runs the steps one after the other; the first that fails ends it. */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  for (const { run } of steps) await run()
}
