import { commandOf, copyingCommand, withoutProgram } from './other-words.js'

/** Single characters to insert, delete, replace or swap to get from one word to the other. */
function editDistance(from: string, to: string): number {
  let older: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const next = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      next.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (next[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (older[column - 2] ?? 0) + 1 : Infinity,
        ),
      )
    }
    older = last
    last = next
  }
  return last[to.length] ?? 0
}

/**
 * The command that was probably meant; undefined when none is near.
 * @param words what was typed. @param commands names of commands, their words separated by spaces.
 * @param misspelt whether it may be a misspelt one of them.
 */
export function suggestion(words: readonly string[], commands: readonly string[], misspelt = true): string | undefined {
  const behind = withoutProgram(words)
  if (behind !== words) return suggestion(behind, commands, misspelt) ?? commandOf(words[0]?.toLowerCase() ?? '')
  const [first = '', second] = words.map((word) => word.toLowerCase())
  const both = second === undefined ? [] : [`${first} ${second}`]
  // A word may be a topic here and a command elsewhere: `backup lst` is one of the topic's, `backup /dev/sdb` is not.
  const ofTopic = commands.filter((command) => command.startsWith(`${first} `)).map((name) => name.split(' ')[1] ?? '')
  const near = second === undefined ? undefined : nearestWord(second, ofTopic)
  if (near !== undefined) return `${first} ${near}`
  return (
    copyingCommand(words) ??
    commandOf(first) ??
    (ofTopic.length > 0 || !misspelt ? undefined : nearest([...both, first], commands, first))
  )
}

/** The word that one is most like; undefined when none is near. */
export function nearestWord(typed: string, words: readonly string[]): string | undefined {
  return nearest([typed], words)
}

/** @param last a word that may also be the last one of a command: `flatten` for `chain flatten`. */
function nearest(typed: readonly string[], commands: readonly string[], last?: string): string | undefined {
  const ranked = commands
    .flatMap((command) => [
      ...typed.map((text) => ({ command, distance: editDistance(text, command), length: text.length })),
      ...(last === undefined
        ? []
        : [{ command, distance: editDistance(last, command.split(' ').at(-1) ?? ''), length: last.length }]),
    ])
    .filter(({ distance, length }) => distance <= Math.max(1, Math.floor(length / 3)))
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.command
}
