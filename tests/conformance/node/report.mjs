// One line of JSON on stdout for each thing that a client did with the server, and how that went.

export async function doing(suite, check, act) {
  try {
    await act();
    console.log(JSON.stringify({ suite, check, outcome: "passed", detail: "" }));
  } catch (error) {
    const where = (error.stack ?? "").split("\n").find((line) => line.includes(".mjs")) ?? "";
    const detail = `${error.name}: ${error.message} ${where.trim()}`.slice(0, 600);
    console.log(JSON.stringify({ suite, check, outcome: "failed", detail }));
  }
}

export async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}
