// What a page of docs/tutorials says to type, and what it says will be seen.

/** The commands of a page, each with the lines that the page shows; `…` stands for any others. */
export function stepsOf(page) {
  const blocks = [...page.matchAll(/^```console\n([^]*?)^```$/gm)].map(([, block]) => block)
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((text) => {
        const [command, ...shown] = text.trimEnd().split('\n')
        return { command, shown }
      }),
  )
}

/** Whether an output is the one that a page shows: `…` alone is any lines, within a line any characters. */
export function isAsShown(output, shown) {
  if (shown.length === 0) return true
  const lines = shown.map((line) => (line === '…' ? '(?:.*\n)*' : `${line.split('…').map(escaped).join('.*')}\n`))
  return new RegExp(`^${lines.join('')}$`).test(output)
}

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
