<?php

declare(strict_types=1);

/** Returns whether the bug of this name is switched on: environment variable BUG, names are in bugs.json. */
function bug(string $name): bool
{
    static $active;
    $active ??= (string) getenv('BUG');
    return $active === $name;
}
